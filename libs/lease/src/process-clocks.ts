import { openSync, readSync } from 'node:fs';
import type { Clocks } from './lease-clock.ts';

const DOT = 0x2e;
const SPACE = 0x20;

/**
 * The clocks of this process. Time since boot, which goes on in suspend, is read from an open `/proc/uptime` (proc(5)): 2 µs,
 * in steps of 10 ms.
 */
export function processClocks(): Clocks {
  const file = openSync('/proc/uptime', 'r');
  const text = Buffer.alloc(64);
  const bootMs = (): number => {
    const length = readSync(file, text, 0, text.length, 0);
    let hundredths = 0;
    for (let i = 0; i < length && text[i] !== SPACE; i++) {
      if (text[i] !== DOT) hundredths = 10 * hundredths + text[i]! - 0x30;
    }
    return 10 * hundredths;
  };
  return {
    wallMs: Date.now,
    monotonicMs: () => performance.now(),
    bootMs,
    nextTurn: (begin) => void setImmediate(begin),
  };
}
