/** Goal: docs/operations.md tells every setting with its default. Method: the table is made anew from the schemas and compared. */
import { describe, expect, test } from '@jest/globals';
import { settingsTable, withSettings } from '../../deploy/local/settings-page.ts';
import { ROOT, textOf } from './source.ts';

describe('the table of settings', () => {
  const page = textOf(ROOT, 'docs/operations.md');

  test('is what the schemas say; npm run settings writes it', () => {
    expect(withSettings(page)).toBe(page);
    for (const [setting, preset] of [
      ['trim.holders', '2'],
      ['pipeline', '4'],
      ['compare.interval', '500ms'],
    ])
      expect(settingsTable()).toMatch(new RegExp(`^\\| \`${setting}\` .*\\| \`${preset}\` `, 'm'));
  });

  test('negative control: an old default on the page is found', () => {
    const old = page.replace('`500ms`', '`600ms`');
    expect(old).not.toBe(page);
    expect(withSettings(old)).not.toBe(old);
    expect(() => withSettings('# No table\n')).toThrow('has no');
  });
});
