/** What a test imports as `@jest/globals`, here from jest's own engine, outside of jest's sandbox of one file. */
export { afterAll, afterEach, beforeAll, beforeEach, describe, it, test } from 'jest-circus';
export { jestExpect as expect } from '@jest/expect';
