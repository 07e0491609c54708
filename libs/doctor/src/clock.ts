import { spawnSync } from 'node:child_process';
import type { Diagnosis } from './diagnosis.ts';

/** Tokens and certificates take this much, ms; beyond it things begin to fail. */
const WARN_MS = 2_000;
const FAIL_MS = 30_000;

/** How well another clock was read. */
export interface ClockReading {
  /** In what steps it counts: an HTTP date has seconds. */
  readonly stepMs: number;
  /** How long the answer took: the other clock was read somewhere in between. */
  readonly tookMs: number;
}

/** Judges how far another clock is ahead of ours, ms. */
export function judgeClock(subject: string, aheadMs: number, { stepMs, tookMs }: ClockReading): Diagnosis {
  const off = Math.max(0, Math.abs(aheadMs) - stepMs - tookMs);
  const check = 'clock';
  if (off < WARN_MS) return { subject, check, state: 'ok', words: 'both clocks agree' };
  const seconds = Math.round(Math.abs(aheadMs) / 1_000);
  return {
    subject,
    check,
    state: off < FAIL_MS ? 'warning' : 'failure',
    words: `its clock is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} the clock of this host`,
    hop: 'one of the two clocks',
    next: 'on both: timedatectl; open 123/udp to your time servers (chrony or systemd-timesyncd)',
  };
}

/** Whether somebody keeps the clock of this host, as systemd reads it from the kernel; nothing where nobody can say so. */
export function examineTimekeeping(): Diagnosis[] {
  const { stdout } = spawnSync('timedatectl', ['show'], { encoding: 'utf8', timeout: 5_000 });
  const [, said = ''] = /^NTPSync\w+=(\w+)$/m.exec(stdout ?? '') ?? [];
  return judgeTimekeeping(said);
}

/** @param said `yes` or `no`; anything else says nothing */
export function judgeTimekeeping(said: string): Diagnosis[] {
  const [subject, check] = ['clock of this host', 'clock'];
  if (said === 'yes') return [{ subject, check, state: 'ok', words: 'is kept by a time server' }];
  if (said !== 'no') return [];
  const next = 'start systemd-timesyncd or chrony, and open 123/udp to your time servers';
  return [{ subject, check, state: 'warning', words: 'no time server keeps it', hop: 'this host', next }];
}
