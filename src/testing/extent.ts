// How much the tests cover: `npm run test:all` and tests that are named cover all of it, `npm test` the part that is
// quick. What is left out there is more of the same: further random cases, further combinations.

const isFull = process.env.LOWLAND_TEST_ALL !== undefined;

/** `fast` in `npm test`, `full` in `npm run test:all` and in tests that are named. */
export function cases<T>(fast: T, full: T): T {
  return isFull ? full : fast;
}
