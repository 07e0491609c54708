import { setTimeout as sleep } from 'node:timers/promises';
import type { AppContext, EnrolmentLink } from '@sallyport/channel';
import { type Device, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import { FILL_APP, FILL_PASSWORD, filledDevice, filledUser } from './filled.ts';

/** What the devices of a drill ask for. */
export const AUTHORITY = 'wiki.corp';
const PAUSE_MS = 250;
const CONTEXT: AppContext = {
  id: FILL_APP,
  version: '1.0.0',
  build: '1',
  signer: new Uint8Array(32),
  os: 'linux',
  osVersion: '6',
  osPatch: '',
  model: 'filled',
  posture: { rooted: false },
  sdk: 'drill',
};

/** The device of a filled installation, whose user signs in again whenever the session is over, and never does anything else. */
export class DrillDevice {
  readonly user: string;
  /** Sign-ins that were answered, and what the others ended with. */
  logins = 0;
  readonly refusals = new Set<string>();
  /** When its last request was answered, by `performance.now()`. */
  servedAt: number = Number.NEGATIVE_INFINITY;
  readonly #device: Device;
  #loop: Promise<void> | undefined;
  #stopped = false;

  private constructor(user: string, device: Device) {
    this.user = user;
    this.#device = device;
  }

  /** Device `i` of the fill by a seed; it knows of the gateway what the link says. */
  static async open(seed: number, i: number, link: EnrolmentLink): Promise<DrillDevice> {
    const storage = memoryStorage();
    await storage.store(filledDevice(seed, i, link));
    return new DrillDevice(filledUser(seed, i).name, await openDevice(storage, () => CONTEXT));
  }

  /** Signs in, once. @throws DeviceError */
  async login(): Promise<void> {
    await this.#device.login({ user: this.user, password: FILL_PASSWORD });
    this.logins++;
  }

  /** Asks for a page, once. @throws DeviceError */
  async ask(): Promise<void> {
    const response = await this.#device.fetch(`http://${AUTHORITY}/${this.user}/page`);
    if (response.status !== 200 || (await response.text()) !== this.user) throw new Error('this is another page');
    this.servedAt = performance.now();
  }

  /** From now on it asks for a page again and again. */
  use(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    this.#device.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        if (!this.#device.hasSession) await this.login();
        await this.ask();
      } catch (error) {
        if (!this.#device.hasSession) this.refusals.add((error as { code?: string }).code ?? String(error));
      }
      await sleep(PAUSE_MS * (0.5 + Math.random()));
    }
  }
}
