// Promises: the platform's prices, written down once, and what a request costs at them.

import { sum } from './counting.mjs';

/** US dollars for a million of each, beyond what is included, on the paid plan. */
export const RATES = {
  read: '2026-12-01',
  pages: ['https://developers.cloudflare.com/workers/platform/pricing/', 'https://developers.cloudflare.com/durable-objects/platform/pricing/'],
  /** Requests to the worker from outside. */
  request: 0.3,
  cpuMs: 0.02,
  /** Calls of an object and its alarms. */
  objectRequest: 0.15,
  /** A gigabyte of an active object's memory, for a second. */
  gigabyteSecond: 12.5,
  rowWritten: 1,
  rowRead: 0.001,
};
/** What an active object is charged for, whatever it uses. */
const GIGABYTES = 0.128;

/**
 * The price of a million.
 * @param {{requests: number, calls: number, alarms: number, rowsWritten: number, rowsRead: number, activeMs: number, cpuMs: number}} each
 */
export function priceOf({ requests, calls, alarms, rowsWritten, rowsRead, activeMs, cpuMs }) {
  const parts = {
    requests: requests * RATES.request,
    cpu: cpuMs * RATES.cpuMs,
    objects: (calls + alarms) * RATES.objectRequest,
    duration: (activeMs / 1000) * GIGABYTES * RATES.gigabyteSecond,
    written: rowsWritten * RATES.rowWritten,
    read: rowsRead * RATES.rowRead,
  };
  return { ...parts, sum: sum(parts) };
}
