// Promises: docs/architecture.md and docs/decisions.md are about this tree. The rooms are those of the lint part in their
// order, each path, name, state, rule and test that they mention exists, and the door that is shown is the one that the
// native tests drive.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../tools/lib/paths.mjs';
import { ROOMS } from '../tools/lib/rooms.mjs';

const CORE = 'worker/core/src';
const MAX_LINES = 250;
const read = (path) => readFileSync(join(root, path), 'utf8');
const architecture = read('docs/architecture.md');
const document = `${architecture}\n${read('docs/decisions.md')}`;

/** All source text of the repository, in which a name must occur. @param {string[]} folders @param {RegExp} files */
const sources = (folders, files) =>
  folders
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, String(name))))
    .filter((path) => files.test(path) && !/node_modules|target/.test(path))
    .map((path) => (path.endsWith('architecture.test.mjs') ? '' : read(path)))
    .join('\n');
const RUST = sources(['worker', 'simulation', 'validator/src'], /\.rs$/);
const RULES = sources(['simulation/src'], /\.rs$/);
const TITLES = sources(['tests'], /\.test\.mjs$/);
const SETTINGS = read('docs/settings.md') + read('wrangler.toml');

/** Where a path of the document leads: below the core, unless it is one of the repository or a black-box test. @param {string} path */
const found = (path) => [`${CORE}/${path}`, path, `tests/${path}`].find((candidate) => existsSync(join(root, candidate)));

/** The body of an enum or a struct. @param {string} name @param {string} file */
const variants = (name, file) => {
  const body = new RegExp(`pub enum ${name} \\{\\n([\\s\\S]*?)\\n\\}`).exec(read(`${CORE}/${file}`))?.[1] ?? '';
  return [...body.matchAll(/^ {4}([A-Z]\w*)/gm)].map(([, variant]) => variant);
};
const STATES = ['State', 'Stage', 'RefundStage'].flatMap((name) => variants(name, 'purchase/state.rs'));
const EVENTS = variants('Event', 'purchase/lifecycle/event.rs');

/** Whether a file defines a name: a type, a function, a constant or a variant; of `Type::member` the member, beside the type. */
const defines = (text, name) => {
  const parts = name.split('::');
  const last = parts.pop();
  const item = new RegExp(`\\b(?:fn|const|static|struct|enum|trait|type) ${last}\\b|^\\s+${last}(?:,| \\{|\\()`, 'm');
  return item.test(text) && parts.every((part) => new RegExp(`\\b${part}\\b`).test(text));
};

/** What the document says that the tree does not, a sentence each. @param {string} text @returns {string[]} */
function faults(text) {
  const wrong = [];
  const prose = text.replace(/```[\s\S]*?```/g, '');
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, span]) => span);

  for (const span of spans) {
    if (/^[\w./-]+\/$/.test(span) || /^[\w./-]*\.(?:rs|mjs|toml|md)$/.test(span)) {
      if (!found(span)) wrong.push(`there is no ${span}`);
    } else if (/^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$/.test(span)) {
      if (![RUST, SETTINGS].some((source) => new RegExp(`\\b${span}\\b`).test(source))) wrong.push(`nothing is called ${span}`);
    } else if (/^\w+(?:::\w+)*$/.test(span)) {
      for (const part of span.split('::')) {
        if (!new RegExp(`\\b${part}\\b`).test(RUST)) wrong.push(`nothing is called ${part}`);
      }
    }
  }
  // `name` in `path`, also several names.
  for (const [, names, path] of prose.matchAll(/((?:`[\w:]+`(?:, | and ))*`[\w:]+`) in `([\w./]+\.rs)`/g)) {
    const file = found(path);
    for (const [, name] of names.matchAll(/`([\w:]+)`/g)) {
      if (file && !defines(read(file), name)) wrong.push(`${path} does not define ${name}`);
    }
  }
  for (const [, names] of prose.matchAll(/\brules? ((?:`\w+`(?:, )?)+)/g)) {
    for (const [, rule] of names.matchAll(/`(\w+)`/g)) {
      if (!RULES.includes(`"${rule}"`)) wrong.push(`the simulation has no rule ${rule}`);
    }
  }
  // In the last column of a table.
  for (const [, cell] of prose.matchAll(/^\|.*\|([^|\n]*)\|$/gm)) {
    for (const [, title] of cell.matchAll(/"([^"]+)"/g)) {
      if (!TITLES.includes(title)) wrong.push(`no test has the title "${title}"`);
    }
  }
  for (const [, target] of prose.matchAll(/\]\(([^)#]+)\)/g)) {
    if (!existsSync(join(root, 'docs', target))) wrong.push(`there is no ${target}`);
  }
  return [...new Set([...wrong, ...faultsOfRooms(text), ...faultsOfPicture(text)])];
}

/** @param {string} text */
function faultsOfRooms(text) {
  const table = /\| room \|[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)/.exec(text)?.[1] ?? '';
  const rooms = table.split('\n').flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)\/?`/g)].map(([, room]) => room));
  return rooms.join() === ROOMS.join() ? [] : [`the rooms are ${ROOMS.join(', ')}, and not ${rooms.join(', ')}`];
}

/** @param {string} text */
function faultsOfPicture(text) {
  const picture = /```mermaid\nstateDiagram-v2\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
  const arrows = [...picture.matchAll(/^ *(\S+) --> (\w+|\[\*\])(?:: (.*))?$/gm)];
  const wrong = arrows.length > 20 ? [] : ['there is no picture of the states'];
  // A state of two others has a second name in one of them.
  const named = new Map([...picture.matchAll(/^ *state "(\w+)" as (\w+)$/gm)].map(([, name, alias]) => [alias, name]));
  for (const [, from, to, label = ''] of arrows) {
    for (const state of [from, to].map((state) => named.get(state) ?? state)) {
      if (state !== '[*]' && !STATES.includes(state)) wrong.push(`${state} is no State and no Stage`);
    }
    for (const [event] of label.matchAll(/\b[A-Z]\w*/g)) {
      if (!EVENTS.includes(event)) wrong.push(`${event} is no Event`);
    }
  }
  for (const state of STATES) {
    if (!arrows.some(([, from, to]) => from === state || to === state)) wrong.push(`the picture lacks ${state}`);
  }
  return wrong;
}

test('what the document says of the tree is so', () => {
  assert.deepEqual(faults(document), []);
  assert.ok(architecture.split('\n').length <= MAX_LINES + 1, `more than ${MAX_LINES} lines`);
});

test('the door that the document shows is the one that the native tests drive', () => {
  const sketch = read(`${CORE}/doors/sketch.rs`);
  const shown = /```rust\n([\s\S]*?)```/.exec(document)?.[1];
  const imports = sketch.lastIndexOf('\nuse ');
  const body = sketch.slice(sketch.indexOf(';\n', imports) + 2, sketch.indexOf('#[cfg(test)]')).trim();
  assert.equal(shown?.trim(), body);
  assert.ok(body.split('\n').length < 60, 'a door is sketched in under 60 lines');
});

test('a wrong path, name, rule, title, room or state is named', () => {
  const said = (wrong) => faults(`${document}\n${wrong}\n`);
  for (const [wrong, fault] of [
    ['`purchase/record.rs`', 'there is no purchase/record.rs'],
    ['`challenge/`', 'there is no challenge/'],
    ['`apply_all` in `purchase/lifecycle.rs`', 'purchase/lifecycle.rs does not define apply_all'],
    ['`Purchase::begin` and `seal` in `offer/seal.rs`', 'offer/seal.rs does not define Purchase::begin'],
    ['`Purchase::is_under_water`', 'nothing is called is_under_water'],
    ['`KEY0_SEALING_SECRET`', 'nothing is called KEY0_SEALING_SECRET'],
    ['rules `charged_twice`, `charged_thrice`', 'the simulation has no rule charged_thrice'],
    ['| a | "a test that nobody wrote" |', 'no test has the title "a test that nobody wrote"'],
    ['[design](../DESIGN.md)', 'there is no ../DESIGN.md'],
  ]) {
    assert.ok(said(wrong).includes(fault), `${wrong}: ${said(wrong)}`);
  }
  const changed = (from, to) => faults(document.replace(from, to)).join();
  assert.match(changed('| `doors/` |', '| `door/` |'), /the rooms are doors, /);
  assert.match(changed('Settling --> Submitted', 'Settling --> Shipped'), /Shipped is no State and no Stage/);
  assert.match(changed(': Settled', ': Paid'), /Paid is no Event/);
});
