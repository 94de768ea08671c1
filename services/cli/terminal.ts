/** The terminal as a screen: what is drawn goes to its second page, so that at the end everything is as it was. */
import type { ReadStream, WriteStream } from 'node:tty';
import type { Screen } from './io.ts';

const BEGIN = '\u001b[?1049h\u001b[?25l\u001b[?7l';
const END = '\u001b[?7h\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const EMPTY_LINE = '\u001b[2K';
const REST_OF_SCREEN = '\u001b[J';

export function terminal(input: ReadStream, output: WriteStream): Screen {
  return {
    columns: () => output.columns,
    rows: () => output.rows,
    open: (onKey) => {
      const onData = (bytes: Buffer): void => {
        for (const key of bytes.toString('latin1')) onKey(key);
      };
      const close = (): void => {
        process.off('exit', close);
        process.off('SIGTERM', onStop);
        input.off('data', onData);
        input.setRawMode(false);
        input.pause();
        output.write(END);
      };
      // However this process ends, but by kill −9: nobody wants to be left with a terminal that shows no cursor.
      const onStop = (): void => {
        process.exit(143);
      };
      process.once('exit', close);
      process.once('SIGTERM', onStop);
      input.setRawMode(true);
      input.on('data', onData);
      output.write(BEGIN);
      return close;
    },
    draw: (lines) => {
      // Emptied first: at the end of a full line the cursor stands on its last character.
      const text = lines.map((line) => EMPTY_LINE + line).join('\r\n');
      output.write(HOME + text + (lines.length < output.rows ? `\r\n${REST_OF_SCREEN}` : ''));
    },
  };
}
