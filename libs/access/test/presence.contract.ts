import { expect, test } from 'vitest';
import type { Presence } from '../src/index.ts';

/** What every implementation of the presence port must do. */
export function presenceContract(presenceOf: () => Promise<Presence>, name: string): void {
  test(`${name}: remembers the last sighting of each session, and nothing of others`, async () => {
    const presence = await presenceOf();
    presence.saw('s1', { proxy: 'p1', at: 1 });
    presence.saw('s1', { proxy: 'p2', at: 2 });
    presence.saw('s2', { proxy: 'p1', at: 3 });
    await expect.poll(async () => (await presence.find(['s1', 's2'])).size).toBe(2);
    const found = await presence.find(['s1', 'unknown', 's2']);
    expect(Object.fromEntries(found)).toEqual({ s1: { proxy: 'p2', at: 2 }, s2: { proxy: 'p1', at: 3 } });
    expect((await presence.find([])).size).toBe(0);
  });
}
