import { closeSync, existsSync, fsyncSync, openSync, statSync, truncateSync, writeSync } from 'node:fs';
import type { AppContext } from '@sallyport/channel';
import { fileStorage, openDevice } from '@sallyport/device/node';

/**
 * An app that downloads its update as a program of its own: `node update-child.ts RECORD CONTEXT FILE [hold]`. It goes on behind the
 * whole pieces of the file, says after each how many bytes are kept, and with `hold` waits behind the first one for its end.
 */
const [record = '', context = '', file = '', hold] = process.argv.slice(2);
const { signer, ...facts } = JSON.parse(context) as Omit<AppContext, 'signer'> & { signer: string };
const device = await openDevice(fileStorage(record), () => ({ ...facts, signer: Buffer.from(signer, 'hex') }));
await device.resume();
const update = (await device.checkForUpdate())!;
const there = existsSync(file) ? statSync(file).size : 0;
const from = there === update.bytes ? there : there - (there % update.chunkBytes);
if (there > from) truncateSync(file, from);
const kept = openSync(file, 'a');
for await (const piece of device.download(update, { from })) {
  writeSync(kept, piece);
  fsyncSync(kept);
  process.stdout.write(`from ${from}, kept ${statSync(file).size}\n`);
  if (hold) await new Promise(() => undefined);
}
closeSync(kept);
await device.installed(update);
device.close();
process.stdout.write('installed\n');
