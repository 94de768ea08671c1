/**
 * Metrics that no panel shows, each with the reason. A test fails for a metric that is neither shown nor here, and for one that is
 * here and shown, or gone.
 */
export const UNSHOWN: Readonly<Record<string, string>> = {
  synod_acceptor_journal_segments: 'says the same as synod_acceptor_journal_bytes, in files of journal.segment.bytes',
};
