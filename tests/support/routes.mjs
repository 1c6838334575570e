// Promises: the routes that the gateway's tests sell, and the settings of a world that sells them.

/** The price of a weather call, in micro-units. */
export const CENT = 10_000n;

export const ROUTES = [
  { routeId: 'weather', method: 'GET', path: '/api/weather/:city', unitAmount: '$0.01', description: 'The weather of a city.', plans: ['basic'] },
  { routeId: 'premium', method: 'GET', path: '/api/premium/:city', unitAmount: '$1', description: 'All that is known of a city.' },
  { routeId: 'search', method: 'GET', path: '/api/search', unitAmount: '$0.01', charged: ['2xx', '404'] },
  { routeId: 'note', method: 'POST', path: '/api/notes', unitAmount: '$0.02', settle: 'after' },
  { routeId: 'summary', method: 'POST', path: '/api/summaries', unitAmount: '$0.02', idempotent: true },
  { routeId: 'message', method: 'POST', path: '/api/messages', unitAmount: '$0.05' },
  { routeId: 'status', method: 'GET', path: '/api/status', free: true },
];

/**
 * Routes for calls that are made to fail, one for each name: a route whose calls fail in a row is not sold for a while.
 * @param {string[]} names @param {'GET' | 'POST'} method
 */
export const failing = (names, method) => names.map((name) => ({ routeId: name, method, path: `/api/${name}`, unitAmount: '$0.01' }));

/** @param {{url: string}} origin @param {Record<string, string>} [more] */
export const selling = (origin, more = {}) => ({
  backend: false,
  vars: {
    PLANS: JSON.stringify([{ planId: 'basic', unitAmount: '$0.015' }, { planId: 'other', unitAmount: '$0.02' }]),
    ROUTES: JSON.stringify(ROUTES),
    PROXY_TO_BASE_URL: origin.url,
    PROXY_TIMEOUT_MS: '2000',
    KEY0_PROXY_SECRET: 'p'.repeat(40),
    REFUND_MIN_AGE_MS: '4000',
    REFUND_INTERVAL_MS: '500',
    ...more,
  },
});
