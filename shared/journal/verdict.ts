/**
 * How a journal may end, as a closed list (R6). `judgeTail` is total over what a scan can find behind the last whole record of
 * the newest segment; everything that it does not keep or cut is refused, because it may be a promise or a vote that was spoken.
 */
import { assertNever } from '../base/assert.ts';
import { SynodError } from '../base/errors.ts';

export type Verdict =
  /** The folder held no journal; one was begun. */
  | { readonly kind: 'new' }
  /** Everything is whole, and the last write is known to be synced. */
  | { readonly kind: 'clean' }
  /** The last write is whole, but no mark follows: it may be in the page cache only, so it is written again elsewhere. */
  | { readonly kind: 'unmarked'; readonly file: string; readonly offset: number; readonly position: number }
  /** The last write was torn: some sector of it was never written, so its sync never returned and nobody heard of it. It is cut. */
  | { readonly kind: 'torn'; readonly file: string; readonly offset: number; readonly position: number }
  | Refusal;

export interface Refusal {
  readonly kind: 'refused';
  readonly damage: Damage;
  readonly file: string;
  readonly offset: number;
  /** The position that the damaged record's first entry has, as far as known. */
  readonly position: number;
}

export type Damage =
  | 'missing-segment'
  | 'short-file'
  | 'newer-format'
  | 'foreign'
  | 'damaged-start'
  | 'damaged-before-later-write'
  | 'rotten-last-write'
  | 'not-sector-shaped'
  | 'misplaced-record'
  | 'broken-chain'
  | 'malformed-record';

/** What lies behind the last whole record of the newest segment. */
export interface TailEvidence {
  /** What the last whole record is. */
  readonly last: 'prologue' | 'entries' | 'mark';
  /**
   * The sector in which the next record would begin. `none`: the file ends there. `blank`: it holds preallocation. `header`: a whole
   * header with a damaged payload. `garbage`: anything else.
   */
  readonly next: 'none' | 'blank' | 'header' | 'garbage';
  /** With `header`: some whole sector of that record still holds preallocation. */
  readonly blankSector: boolean;
  /** What is behind that record, or, where its length is unknown, behind that sector. */
  readonly beyond: 'blank' | 'written' | 'record';
}

export type TailVerdict =
  'clean' | 'unmarked' | 'torn' | 'damaged-before-later-write' | 'rotten-last-write' | 'not-sector-shaped';

/** The verdict on the end of a journal. */
export function judgeTail(tail: TailEvidence): TailVerdict {
  switch (tail.next) {
    case 'none':
      return tail.last === 'entries' ? 'unmarked' : 'clean';
    case 'blank':
      if (tail.beyond === 'record') return 'damaged-before-later-write';
      // Sectors of a write whose first sector never came: torn.
      if (tail.beyond === 'written') return 'torn';
      return tail.last === 'entries' ? 'unmarked' : 'clean';
    case 'header':
      // Its length is known, so whatever is behind it was written later, after its sync.
      if (tail.beyond !== 'blank') return 'damaged-before-later-write';
      return tail.blankSector ? 'torn' : 'rotten-last-write';
    case 'garbage':
      return tail.beyond === 'record' ? 'damaged-before-later-write' : 'not-sector-shaped';
    default:
      return assertNever(tail.next);
  }
}

const WHAT: Record<Damage, string> = {
  'missing-segment': 'this segment is missing',
  'short-file': 'the file is shorter than when it was made',
  'newer-format': 'a newer version of Synod wrote it',
  foreign: 'the segment belongs to another journal',
  'damaged-start': 'the beginning of the segment is damaged',
  'damaged-before-later-write': 'a record is damaged, and a later one was written after it was synced',
  'rotten-last-write': 'the last record is damaged although every sector of it was written',
  'not-sector-shaped': 'the bytes behind the last whole record are neither a record nor preallocated space',
  'misplaced-record': 'a whole record of another place stands here',
  'broken-chain': 'the record does not continue the one before it',
  'malformed-record': 'the record is whole but its entries do not fill it',
};

/**
 * What to do about a journal that lost something. An older copy of the disk knows less than the others were told, and an empty one
 * is not on the roster: both are refused (R5).
 */
export const LEAVE_STOPPED =
  'Entries that others rely on may be lost, so it does not start. Keep its folder and leave it stopped: the others go on while they hold a quorum. ' +
  'Do not put an older copy or an empty folder in its place, both are refused; a member cannot be replaced yet (docs/operations.md, Backups).';

/** The error that a start ends with when a journal is refused. */
export function refusalError(refusal: Refusal, detail = ''): SynodError {
  const { file, offset, position, damage } = refusal;
  const advice =
    damage === 'newer-format'
      ? 'Start the version of Synod that wrote it.'
      : damage === 'foreign'
        ? 'Give this process its own data folder.'
        : LEAVE_STOPPED;
  const where = `${file} at byte ${String(offset)}, the record of position ${String(position)}`;
  const more = detail === '' ? '' : ` (${detail})`;
  return new SynodError('DATA_LOSS', `the journal is refused: ${where}: ${WHAT[damage]}${more}. ${advice}`);
}
