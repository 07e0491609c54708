import { hostname, release } from 'node:os';
import { join } from 'node:path';
import type { AppContext } from '@sallyport/channel';
import { attestInSoftware, type Device } from '@sallyport/device';
import { fileStorage, openDevice } from '@sallyport/device/node';
import { CliError } from '../output.ts';
import type { GlobalOptions } from '../program.ts';

/** App context of this command as a device. What it cannot know is left out. */
function cliContext(): AppContext {
  return {
    id: 'sallyport.cli',
    version: '0.1.0',
    build: '1',
    signer: new Uint8Array(32),
    os: process.platform,
    osVersion: release().split('-')[0] ?? '0',
    osPatch: '',
    model: hostname().slice(0, 64),
    posture: {},
    sdk: 'sallyport-device/0.1.0',
  };
}

/** File with the keys of this machine as a device. */
export function deviceFile({ data }: GlobalOptions): string {
  return join(data, 'cli', 'device.json');
}

/** Opens this machine's device. Nothing vouches for it: its evidence is of the connector `software`. */
export function openCliDevice(globals: GlobalOptions): Promise<Device> {
  return openDevice(fileStorage(deviceFile(globals)), cliContext, attestInSoftware);
}

/** Makes sure that somebody is signed in, and connects. @throws CliError that says what to do next */
export async function signedIn(device: Device): Promise<void> {
  if (device.state === 'new')
    throw new CliError('this machine is not enrolled as a device', 'run: sallyport device enroll <link> --user <name>');
  if (!device.hasSession)
    throw new CliError('nobody is signed in on this device', 'run: sallyport device login --user <name>');
  await device.resume();
}
