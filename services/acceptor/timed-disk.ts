/** A disk whose syncs are timed, where they make records durable: those of the segments that the journal writes to. */
import type { Clock } from '../../shared/ports/clock.ts';
import type { Disk, DiskFile, OpenMode } from '../../shared/ports/disk.ts';

/** `segment` says whether a file of this name is part of the journal; one that is only being prepared is not. */
export function timedDisk(
  disk: Disk,
  clock: Clock,
  segment: (name: string) => boolean,
  onSync: (ms: number) => void,
): Disk {
  /** Names of files that were opened, by name: a segment is renamed when it is ready, and goes on with the same file. */
  const opened = new Map<string, { live: boolean }>();
  return {
    list: () => disk.list(),
    async open(name: string, mode: OpenMode): Promise<DiskFile> {
      const file = await disk.open(name, mode);
      const state = { live: segment(name) };
      if (mode !== 'read') opened.set(name, state);
      return {
        size: () => file.size(),
        read: (offset, length) => file.read(offset, length),
        write: (offset, bytes) => file.write(offset, bytes),
        truncate: (bytes) => file.truncate(bytes),
        close: () => file.close(),
        async sync(): Promise<void> {
          if (!state.live) return file.sync();
          const began = clock.now();
          await file.sync();
          onSync(clock.now() - began);
        },
      };
    },
    async rename(from: string, to: string): Promise<void> {
      await disk.rename(from, to);
      const state = opened.get(from);
      opened.delete(from);
      if (state === undefined) return;
      state.live = segment(to);
      opened.set(to, state);
    },
    async remove(name: string): Promise<void> {
      await disk.remove(name);
      opened.delete(name);
    },
    syncFolder: () => disk.syncFolder(),
  };
}
