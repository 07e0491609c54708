import { expect, test } from 'vitest';
import { type Bus, nextMessage } from '../src/index.ts';

/** What every implementation of the bus port must do. `pair` gives two ends of one bus, which may be the same one. */
export function busContract(pair: () => Promise<readonly [Bus, Bus]>, name: string): void {
  test(`${name}: a message reaches the listeners of its topic on every node, also on the one that sent it`, async () => {
    const [here, there] = await pair();
    const heard: string[] = [];
    here.subscribe('entries', () => heard.push('here'));
    there.subscribe('entries', () => heard.push('there'));
    there.subscribe('applied', () => heard.push('wrong topic'));
    const arrives = nextMessage(there, 'entries', 90_000);
    here.publish('entries');
    await arrives;
    expect(new Set(heard)).toEqual(new Set(['here', 'there']));
  });

  test(`${name}: who stopped listening hears nothing`, async () => {
    const [here] = await pair();
    let heard = 0;
    here.subscribe('applied', () => {
      heard += 1;
    })();
    here.publish('applied');
    expect(heard).toBe(0);
  });

  test(`${name}: waiting for a message ends without one`, async () => {
    const [here] = await pair();
    await nextMessage(here, 'applied', 10);
    expect(here.connected).toBe(true);
  });
}
