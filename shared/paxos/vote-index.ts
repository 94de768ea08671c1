/**
 * Where in the journal an acceptor's votes for old slots stand. Votes are remembered by pieces of the journal, not one by
 * one, so the index grows with the bytes of the journal (one piece a log and megabyte), however many slots these hold.
 */
export interface Piece {
  /** Journal positions, both included. */
  readonly first: number;
  readonly last: number;
  /** Slots voted for in this piece: within [from, to). */
  readonly from: number;
  readonly to: number;
}

interface OpenPiece {
  first: number;
  last: number;
  from: number;
  to: number;
  bytes: number;
  /** Bytes of the whole journal before it. */
  readonly before: number;
  isClosed: boolean;
}

const PIECE_BYTES = 256 * 1024;
const PIECE_ENTRIES = 2_048;
/** From its first vote to its last, with all that other logs have between them: what finding one vote costs at most. */
const PIECE_SPAN_BYTES = 1024 * 1024;

export class VoteIndex {
  #pieces: OpenPiece[] = [];

  /** A vote for [from, to) stands at this position, behind `before` bytes of the journal. Positions come in rising order. */
  add(position: number, from: number, to: number, bytes: number, before: number): void {
    const piece = this.#pieces[this.#pieces.length - 1];
    const isOpen = piece?.isClosed === false && piece.bytes < PIECE_BYTES && position - piece.first < PIECE_ENTRIES;
    if (isOpen && before - piece.before < PIECE_SPAN_BYTES) {
      piece.last = position;
      piece.from = Math.min(piece.from, from);
      piece.to = Math.max(piece.to, to);
      piece.bytes += bytes;
    } else {
      this.#pieces.push({ first: position, last: position, from, to, bytes, before, isClosed: false });
    }
  }

  /** The pieces that may hold votes for [from, to), oldest first: where two hold the same slot, the later one is the vote. */
  find(from: number, to: number): Piece[] {
    return this.#pieces.filter((piece) => piece.from < to && piece.to > from);
  }

  /** Forgets pieces that hold only slots below the floor. */
  dropBelow(floor: number): void {
    // The pieces are in the order of the journal, not of the slots: any of them may be below.
    if (this.#pieces.some((piece) => piece.to <= floor))
      this.#pieces = this.#pieces.filter((piece) => piece.to > floor);
  }

  /** The oldest journal position that is still needed, undefined when none is. */
  get oldest(): number | undefined {
    return this.#pieces[0]?.first;
  }

  /** Forgets pieces that end below the position: what they held stands further on as well. */
  dropBefore(position: number): void {
    this.#pieces = this.#pieces.filter((piece) => piece.last >= position);
  }

  /** The next vote begins a piece of its own. */
  close(): void {
    const last = this.#pieces[this.#pieces.length - 1];
    if (last !== undefined) last.isClosed = true;
  }

  get size(): number {
    return this.#pieces.length;
  }

  /** Bytes of the votes in all pieces. */
  get bytes(): number {
    return this.#pieces.reduce((sum, piece) => sum + piece.bytes, 0);
  }
}
