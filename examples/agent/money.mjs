// Promises: dollars are counted in whole micro-units, the smallest part of USDC, and never in floating point.

/** A dollar text in micro-units, exactly. */
export function dollars(text) {
  const [, whole, fraction = ''] = /^\$?(\d+)(?:\.(\d{1,6}))?$/.exec(text) ?? [];
  return whole === undefined ? undefined : BigInt(whole) * 1_000_000n + BigInt(fraction.padEnd(6, '0'));
}

/** Micro-units as a dollar text, as short as it goes. */
export function decimal(micro) {
  const fraction = String(micro % 1_000_000n).padStart(6, '0').replace(/0+$/, '');
  return `${micro / 1_000_000n}${fraction && `.${fraction}`}`;
}
