// The published MCP conformance suites, the released one and the next, find nothing wrong with the MCP door.
//
//  1. Every scenario for servers is run, or left out for a reason that tools/lib/conformance.mjs gives.
//  2. Of those that are run, every check succeeds, but for those that are excepted there.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SUITES, runScenario, undecided } from '../tools/lib/conformance.mjs';
import { useWorld } from './support/world.mjs';

const world = useWorld({ backend: false });

for (const suite of SUITES) {
  describe(suite.name, () => {
    test('has no scenario that nobody has decided on', async () => {
      assert.deepEqual(await undecided(suite), []);
    });
    for (const [version, scenarios] of Object.entries(suite.versions)) {
      for (const scenario of scenarios) {
        test(`${scenario}, version ${version}`, async () => {
          const { failed } = await runScenario(suite, version, scenario, `${world.url}/mcp`);
          assert.deepEqual(failed, []);
        });
      }
    }
  });
}
