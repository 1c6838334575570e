// Promises: an order of functions in which each lies near those that it resembles, always the same for the same
// functions. Compression finds a repetition only within the last 32 kB, so in this order a tenth more goes away.

/** How far back compression sees. */
const WINDOW = 32_768;
/** Bytes of a piece. Two functions resemble each other as far as they have pieces in common. */
const PIECE = 6;
/** A piece that is in more functions than this is found everywhere anyway. */
const COMMON = 200;
const HASHES = 2 ** 22;

/** The bytes from `at` on. FNV-1a, whose upper half is stirred into the lower. */
function hashOf(bytes, at) {
  let hash = 0x811c9dc5;
  for (let index = at; index < at + PIECE; index += 1) hash = Math.imul(hash ^ bytes[index], 0x01000193);
  return (hash ^ (hash >>> 15)) & (HASHES - 1);
}

/** For each function its pieces, and for each piece the functions that have it. @param {Uint8Array[]} bodies */
function piecesOf(bodies) {
  /** @type {number[][]} */
  const owners = new Array(HASHES);
  const all = bodies.map((body, owner) => {
    const pieces = [];
    for (let at = 0; at + PIECE <= body.length; at += 1) {
      const piece = hashOf(body, at);
      owners[piece] ??= [];
      if (owners[piece].at(-1) === owner) continue;
      owners[piece].push(owner);
      pieces.push(piece);
    }
    return pieces;
  });
  const says = (piece) => owners[piece].length > 1 && owners[piece].length <= COMMON;
  return { pieces: all.map((pieces) => pieces.filter(says)), owners };
}

/**
 * Puts next, again and again, the function that has the most in common with what compression still sees.
 * @param {Uint8Array[]} bodies @returns {number[]}
 */
export function byLikeness(bodies) {
  const { pieces, owners } = piecesOf(bodies);
  const seen = new Int32Array(HASHES);
  const inCommon = new Int32Array(bodies.length);
  /** A long function has more in common with anything. */
  const weights = bodies.map((body) => 1 / Math.sqrt(body.length + PIECE));
  const order = [];
  const left = [...bodies.keys()];
  let window = 0;
  let first = 0;
  while (left.length) {
    let best = 0;
    for (let at = 1; at < left.length; at += 1) {
      if (inCommon[left[at]] * weights[left[at]] > inCommon[left[best]] * weights[left[best]]) best = at;
    }
    const [next] = left.splice(best, 1);
    order.push(next);
    window += bodies[next].length;
    for (const piece of pieces[next]) if (seen[piece]++ === 0) for (const owner of owners[piece]) inCommon[owner] += 1;
    for (; window > WINDOW && order[first] !== next; first += 1) {
      window -= bodies[order[first]].length;
      for (const piece of pieces[order[first]]) if (--seen[piece] === 0) for (const owner of owners[piece]) inCommon[owner] -= 1;
    }
  }
  return order;
}
