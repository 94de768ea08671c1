/** Why an acceptor does not speak (R5), in words for who runs it: what was found, and what to do. Nothing was voted or promised. */
import type { Disks, Introduction } from './introduction.ts';
import { formatDisks } from './introduction.ts';

interface Own {
  readonly acceptor: number;
  readonly disk: string;
}

const WIPE_ALL =
  'A roster that cannot be completed is cleared only by stopping all acceptors and wiping the disks of all of them, ' +
  'which forgets everything that they ever chose. The disks of a restored cluster are not wiped but restored again (synodctl cluster restore).';

export function wrongConfiguration(own: Own, disks: Disks, acceptors: readonly number[]): string {
  return (
    `${name(own)}: its disk belongs to a cluster of acceptors ${list([...disks.keys()])}, and the configuration names ` +
    `${list(acceptors)}. Correct the list of acceptors: the members of a cluster are not changed by editing it.`
  );
}

export function otherAcceptorsDisk(own: Own, disks: Disks): string {
  const owner = [...disks].find(([, disk]) => disk === own.disk)?.[0];
  const whose = owner === undefined ? 'is not on the roster that it holds' : `is that of acceptor ${String(owner)}`;
  return `${name(own)}: this disk ${whose} (${formatDisks(disks)}). Start each acceptor with its own data folder.`;
}

export function notOnRoster(own: Own, by: Introduction, disks: Disks): string {
  const known = disks.get(own.acceptor);
  const wanted =
    known === undefined
      ? `has no acceptor ${String(own.acceptor)} on its roster`
      : `knows acceptor ${String(own.acceptor)} by disk ${known}`;
  const pending =
    by.roster.kind === 'pending' ? ` The roster there is still pending: if that disk is lost, ${lower(WIPE_ALL)}` : '';
  return (
    `${name(own)}: acceptor ${String(by.acceptor)} ${wanted}. Start it with the data folder that carries that disk. ` +
    `An empty or foreign disk cannot take its place, for it does not hold what this acceptor promised and voted.${pending}`
  );
}

/** `start`: the start of this acceptor that is remembered there; undefined where only the roster is known. */
export function lostRoster(own: Own, who: string, start: number | undefined): string {
  const known = start === undefined ? 'knows this disk by' : `remembers start ${String(start)} of it, which held`;
  return (
    `${name(own)}: ${who} ${known} the roster of the cluster, and it held none when this start began. ` +
    `It is empty, foreign or older than it once was, and cannot take the place of the right one. ` +
    `Bring back its latest state, or leave this acceptor stopped: the others go on while they hold a quorum.`
  );
}

export function olderThanItWas(own: Own, who: string, why: string): string {
  return (
    `${name(own)}: ${who} ${why}. The disk was restored or copied, or a second process runs on a copy of it. ` +
    `Stop the other process, or bring back the latest state of the disk; otherwise leave this acceptor stopped.`
  );
}

export function rostersDiffer(own: Own, by: Introduction, mine: Disks, theirs: Disks): string {
  return (
    `${name(own)}: it holds a pending roster (${formatDisks(mine)}), and acceptor ${String(by.acceptor)} holds another ` +
    `(${formatDisks(theirs)}). Disks were exchanged or wiped while the cluster was new; start each acceptor with the disk ` +
    `it had first. ${WIPE_ALL}`
  );
}

export function outnumbered(own: Own, others: readonly number[], mine: Disks): string {
  return (
    `${name(own)}: acceptors ${list(others)} hold another roster than this disk (${formatDisks(mine)}). ` +
    `The disk belongs to another or an earlier cluster. Start this acceptor with the disk that it has in this one.`
  );
}

export function oneDiskTwice(own: Own, a: number, b: number, disk: string): string {
  return (
    `${name(own)}: acceptors ${String(a)} and ${String(b)} both say that their disk is ${disk}: one data folder was copied ` +
    `from the other. Wipe the copy (the cluster is new; nothing was chosen yet).`
  );
}

function name(own: Own): string {
  return `acceptor ${String(own.acceptor)} does not speak with disk ${own.disk}`;
}

function list(ids: readonly number[]): string {
  return ids.join(', ');
}

function lower(sentence: string): string {
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}
