import type { DeviceRecord } from '@sallyport/device';
import { type Backend, echoBackend, honestBackend, hostileBackend } from './backends.ts';
import { askForward, type Forward } from './forward.ts';
import { Gateway } from './gateway.ts';
import { askUntil, type Seen } from './honest.ts';
import { Random } from './random.ts';
import { RawChannel } from './raw-channel.ts';
import { throwBytes, throwMessages } from './strangers.ts';

/** What a run is given. */
export interface FuzzOptions {
  /** How often something is thrown: a record, a request, a message. */
  readonly rounds: number;
  readonly seed: number;
  /** Called now and then with the rounds that are done. */
  readonly progress?: (done: number) => void;
}

/** What a run found. */
export interface FuzzResult {
  readonly problems: readonly string[];
  /** Channels that attackers opened, and what the honest devices saw. */
  readonly channels: number;
  readonly honest: readonly Seen[];
}

const HONEST = ['ada', 'ben', 'cleo'];
/** What attacks at once; each has a random sequence of its own, so that a seed repeats it. */
const ATTACKERS = 4;
const CHECK_ROUNDS = 500;
/** When nothing has happened for so long, nothing will, ms. */
const STALL_MS = 60_000;

/**
 * Throws raw frames on real channels, raw answers of a backend, and raw requests and messages at the real processes, while
 * honest devices compare every answer with what they asked. A process that ends, a line of a defect in a log and an answer
 * that belongs to somebody else are problems.
 */
export async function fuzz({ rounds, seed, progress }: FuzzOptions): Promise<FuzzResult> {
  const gateway = await Gateway.start();
  const backends = [await honestBackend(), await hostileBackend(new Random(seed ^ 0x5eed)), await echoBackend()];
  const stopped = new AbortController();
  let forward: Forward | undefined;
  try {
    await addResources(gateway, backends);
    const devices = await Promise.all(HONEST.map((user) => gateway.device(user)));
    forward = await gateway.forward('fay');
    const through = askForward(stopped.signal, forward);
    const asking = devices.map(({ device }, i) => askUntil(stopped.signal, HONEST[i]!, device));
    const records = await Promise.all(
      Array.from({ length: ATTACKERS }, async (_, i) => (await gateway.device(`mallory-${i}`)).record),
    );
    const attack = new Attack(gateway, { rounds, progress, forwardPort: forward.port });
    const attacking = Promise.all(records.map((record, i) => attack.run(new Random(seed * ATTACKERS + i), record)));
    const moved = await Promise.race([attacking.then(() => true), attack.stalled()]);
    stopped.abort();
    const late = new Promise<Seen[]>((resolve) => setTimeout(() => resolve([]), STALL_MS).unref());
    const honest = await Promise.race([Promise.all(asking), late]);
    for (const { device } of devices) device.close();
    const forwarded = await Promise.race([through, late.then(() => ({ right: 0, wrong: [] }))]);
    const problems = [...gateway.problems(), ...honest.flatMap(({ wrong }) => wrong)];
    problems.push(...forward.problems(), ...forwarded.wrong);
    if (forwarded.right === 0) problems.push('nobody was answered through device forward');
    if (!moved) problems.push('nothing moved any more for a minute');
    if (honest.length === 0) problems.push('an honest device waits for its answer');
    return { problems, channels: attack.channels, honest };
  } finally {
    stopped.abort();
    await forward?.stop();
    await gateway.stop();
    for (const backend of backends) backend.close();
  }
}

async function addResources(gateway: Gateway, backends: readonly Backend[]): Promise<void> {
  const [honest, hostile, echo] = backends;
  await gateway.addResource('honest', honest!.url);
  await gateway.addResource('hostile', hostile!.url);
  await gateway.addResource('tcp', echo!.url, 'tcp');
}

/** All attackers of a run. */
class Attack {
  readonly #gateway: Gateway;
  readonly #forwardPort: number;
  readonly #rounds: number;
  readonly #progress: ((done: number) => void) | undefined;
  #done = 0;
  channels = 0;

  constructor(
    gateway: Gateway,
    {
      rounds,
      progress,
      forwardPort,
    }: Pick<FuzzOptions, 'rounds'> & {
      readonly progress: FuzzOptions['progress'] | undefined;
      readonly forwardPort: number;
    },
  ) {
    this.#gateway = gateway;
    this.#forwardPort = forwardPort;
    this.#rounds = rounds;
    this.#progress = progress;
  }

  /** False once nothing was thrown for too long: a Proxy that hangs takes nobody's channel. */
  async stalled(): Promise<false> {
    for (let before = -1; before !== this.#done; ) {
      before = this.#done;
      await new Promise((resolve) => setTimeout(resolve, STALL_MS).unref());
    }
    return false;
  }

  /** One attacker, until all rounds are done or something broke. */
  async run(random: Random, record: DeviceRecord): Promise<void> {
    let channel: RawChannel | undefined;
    let chanNo = 1_000_000;
    while (this.#done < this.#rounds) {
      this.#done += 1;
      if (this.#done % CHECK_ROUNDS === 0) {
        this.#progress?.(this.#done);
        if (this.#gateway.problems().length > 0) break;
      }
      const choice = random.below(20);
      if (choice === 0) await throwMessages(random, this.#gateway.origin);
      else if (choice < 3) await throwBytes(random, this.#gateway.proxyPort);
      else if (choice < 4) await throwBytes(random, this.#gateway.phonePort);
      else if (choice < 5) await throwBytes(random, this.#forwardPort);
      else {
        if (!channel || channel.closed) {
          channel = await RawChannel.open(this.#gateway.origin, record, {
            chanNo: chanNo++,
            wild: random.chance(0.3),
          });
          this.channels += 1;
        }
        channel?.throw(random);
        // The other side gets its turn.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    channel?.end();
  }
}
