// Promises: the raw runtime runs exactly what `wrangler deploy` would: entry file, compatibility date, object
// classes and default variables are read from wrangler.toml, nothing is written down twice.
// Values of settings never enter the configuration text; it only names environment variables.

import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { catalogModule } from './catalog.mjs';
import { wranglerFile } from './paths.mjs';
import { Stop } from './say.mjs';

export const HTTP_SOCKET = 'http';
export const STATE_DISK = 'state';
/** Where the launcher lets the platform's clock strike: the raw runtime has none. */
export const CLOCK_SOCKET = 'clock';
const ENV_PREFIX = 'BINDING_';

const RATE_LIMIT_MODULE = 'key0-local:rate-limit';
/** The platform's rate limiting, which the raw runtime lacks: windows of fixed length, counted in this runtime's memory. */
const RATE_LIMIT = `
class Ratelimit {
  #windows = new Map();
  #limit;
  #period;
  constructor({ limit, period }) {
    this.#limit = limit;
    this.#period = period * 1000;
  }
  async limit({ key }) {
    const now = Math.floor(Date.now() / this.#period);
    for (const [known, { window }] of this.#windows) if (window !== now) this.#windows.delete(known);
    const seen = this.#windows.get(key) ?? { window: now, count: 0 };
    seen.count += 1;
    this.#windows.set(key, seen);
    return { success: seen.count <= this.#limit };
  }
}
export default (env) => new Ratelimit(env);
`;

const UNDERSTOOD = ['compatibility_date', 'compatibility_flags', 'durable_objects', 'migrations', 'ratelimits', 'triggers', 'vars'];
/** About building, deploying and watching, not about what the worker sees while it runs. */
const IRRELEVANT = [
  ...['name', 'main', 'build', 'dev', 'account_id', 'keep_vars', 'workers_dev', 'preview_urls', 'route', 'routes'],
  ...['limits', 'placement', 'observability', 'logpush', 'tail_consumers', 'upload_source_maps', 'send_metrics'],
];

/**
 * @typedef {{binding: string, className: string}} ObjectClass
 * @typedef {{binding: string, limit: number, period: number}} RateLimit
 * @typedef {{compatibilityDate: string, compatibilityFlags: string[], objects: ObjectClass[], rateLimits: RateLimit[],
 *            crons: string[], vars: Record<string, unknown>}} WorkerShape
 */

/** Calls the worker's handler for a cron, as the platform does. No part of what is deployed. */
const CLOCK = `export default {
  async fetch(request, { MAIN }) {
    const cron = new URL(request.url).searchParams.get('cron');
    const { outcome } = await MAIN.scheduled({ cron, scheduledTime: new Date() });
    return new Response(outcome);
  },
};`;

/** What wrangler.toml says, as far as the raw runtime needs it. @returns {WorkerShape} */
export function readWorkerShape(file = wranglerFile) {
  const toml = parse(readFileSync(file, 'utf8'));
  const strange = Object.keys(toml).filter((key) => !UNDERSTOOD.includes(key) && !IRRELEVANT.includes(key));
  if (strange.length) throw new Stop(`wrangler.toml has ${strange.join(', ')}: teach tools/lib/runtime-config.mjs what it means.`);
  const objects = (toml.durable_objects?.bindings ?? []).map((b) => ({ binding: b.name, className: b.class_name }));
  const withSql = new Set((toml.migrations ?? []).flatMap((m) => m.new_sqlite_classes ?? []));
  for (const { className } of objects) {
    if (!withSql.has(className)) throw new Stop(`wrangler.toml: no migration creates ${className} in new_sqlite_classes.`);
  }
  return {
    compatibilityDate: toml.compatibility_date,
    compatibilityFlags: toml.compatibility_flags ?? [],
    objects,
    rateLimits: (toml.ratelimits ?? []).map(({ name, simple: { limit, period } }) => ({ binding: name, limit, period })),
    crons: toml.triggers?.crons ?? [],
    vars: toml.vars ?? {},
  };
}

/**
 * @param {WorkerShape} shape
 * @param {Record<string, string>} settings  override the variables of wrangler.toml
 * @param {string} [outbound]  host and port of a server that gets all of the worker's calls, whatever their host; in plain HTTP, with `Host` and `X-Forwarded-Proto`
 * @param {string} [catalog]  the text of a catalog.json
 * @param {string} [entry]  the text of a module that runs in place of the worker's own, and may import that from `index.js`
 * @returns {{config: string, env: Record<string, string>}} configuration text, and the environment it refers to
 */
export function runtimeConfig(shape, settings, outbound, catalog, entry) {
  /** @type {Record<string, string>} */
  const env = {};
  const bindings = [];
  for (const [name, value] of Object.entries({ ...shape.vars, ...settings })) {
    if (typeof value === 'string') {
      env[ENV_PREFIX + name] = value;
      bindings.push(`(name = ${text(name)}, fromEnvironment = ${text(ENV_PREFIX + name)})`);
    } else {
      bindings.push(`(name = ${text(name)}, json = ${text(JSON.stringify(value))})`);
    }
  }
  for (const { binding, className } of shape.objects) {
    bindings.push(`(name = ${text(binding)}, durableObjectNamespace = ${text(className)})`);
  }
  for (const { binding, limit, period } of shape.rateLimits) {
    const inner = [`(name = "limit", json = "${limit}")`, `(name = "period", json = "${period}")`];
    bindings.push(`(name = ${text(binding)}, wrapped = (moduleName = ${text(RATE_LIMIT_MODULE)}, innerBindings = [${inner.join(', ')}]))`);
  }
  const classes = shape.objects.map(
    ({ className }) => `(className = ${text(className)}, uniqueKey = ${text(`key0-${className}`)}, enableSql = true)`,
  );
  const internet = outbound
    ? `external = (address = ${text(outbound)}, http = (style = host, forwardedProtoHeader = "X-Forwarded-Proto"))`
    : 'network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))';
  const first = entry === undefined ? '' : `(name = "entry.js", esModule = ${text(entry)}),\n    `;
  const list = (items) => `[\n    ${items.join(',\n    ')}\n  ]`;
  const config = `# Written by tools/lib/runtime-config.mjs from wrangler.toml at every start.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", ${internet}),
    (name = "clock", worker = .clock),
    (name = "${STATE_DISK}", disk = (writable = true))
  ],
  sockets = [
    (name = "${HTTP_SOCKET}", http = (), service = "main"),
    (name = "${CLOCK_SOCKET}", address = "127.0.0.1:0", http = (), service = "clock")
  ],
  extensions = [(modules = [(name = ${text(RATE_LIMIT_MODULE)}, internal = true, esModule = ${text(RATE_LIMIT)})])]
);

const clock :Workerd.Worker = (
  modules = [(name = "clock.js", esModule = ${text(CLOCK)})],
  compatibilityDate = ${text(shape.compatibilityDate)},
  compatibilityFlags = ["service_binding_extra_handlers"],
  bindings = [(name = "MAIN", service = "main")]
);

const worker :Workerd.Worker = (
  modules = [
    ${first}(name = "index.js", esModule = embed "/index.js"),
    (name = "catalog.js", esModule = ${text(catalogModule(catalog))}),
    (name = "index_bg.wasm", wasm = embed "/index_bg.wasm")
  ],
  compatibilityDate = ${text(shape.compatibilityDate)},
  compatibilityFlags = [${shape.compatibilityFlags.map(text).join(', ')}],
  bindings = ${list(bindings)},
  durableObjectNamespaces = ${list(classes)},
  durableObjectStorage = (localDisk = "${STATE_DISK}"),
  globalOutbound = "internet"
);
`;
  return { config, env };
}

/** A Cap'n Proto string. @param {string} value */
function text(value) {
  return `"${value.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n')}"`;
}
