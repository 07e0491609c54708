import { randomUUID } from 'node:crypto';
import { type Bus, type BusTopic, memoryBus } from '@sallyport/access';
import { redisKey } from './keys.ts';
import type { RedisLink } from './link.ts';

/** Every node sends itself a word this often, ms: only what comes back proves that the bus works. */
const PING_MS = 500;
const SILENCE_MS = 1_600;
/** A subscription that stays silent for so long is made anew, ms. */
const RECONNECT_MS = 3_000;

const TOPICS: readonly BusTopic[] = ['entries', 'applied'];

/** Bus over Redis publish/subscribe: wakes the other nodes, delivers nothing that matters. */
export class RedisBus implements Bus {
  readonly #link: RedisLink;
  readonly #channel: string;
  readonly #id = randomUUID();
  readonly #local = memoryBus();
  readonly #timer: NodeJS.Timeout;
  #heardAt = Number.NEGATIVE_INFINITY;
  #renewedAt = performance.now();

  constructor(link: RedisLink, realm: string) {
    this.#link = link;
    this.#channel = redisKey(realm, 'bus');
    link.subscriber.on('ready', () => this.#subscribe());
    link.subscriber.on('message', (_channel: string, text: string) => this.#receive(text));
    if (link.subscriber.status === 'ready') this.#subscribe();
    this.#timer = setInterval(() => this.#ping(), PING_MS);
  }

  get connected(): boolean {
    return performance.now() - this.#heardAt < SILENCE_MS;
  }

  publish(topic: BusTopic): void {
    this.#local.publish(topic);
    this.#send(topic);
  }

  subscribe(topic: BusTopic, listener: () => void): () => void {
    return this.#local.subscribe(topic, listener);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#link.close();
  }

  #subscribe(): void {
    this.#link.subscriber.subscribe(this.#channel).catch(() => undefined);
  }

  #send(topic: string): void {
    void this.#link.attempt((client) => client.publish(this.#channel, `${this.#id} ${topic}`));
  }

  #ping(): void {
    this.#send('ping');
    const now = performance.now();
    if (now - Math.max(this.#heardAt, this.#renewedAt) < RECONNECT_MS) return;
    this.#renewedAt = now;
    this.#link.renew();
  }

  #receive(text: string): void {
    const [from, topic] = text.split(' ');
    if (from !== this.#id)
      return TOPICS.includes(topic as BusTopic) ? this.#local.publish(topic as BusTopic) : undefined;
    if (topic !== 'ping') return;
    const back = !this.connected;
    this.#heardAt = performance.now();
    // Whatever was said while nobody heard it: let everybody look.
    if (back) for (const each of TOPICS) this.#local.publish(each);
  }
}
