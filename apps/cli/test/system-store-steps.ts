import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { createCa, nameOfCa } from '../src/device/local-ca/local-ca.ts';
import { permittedFor } from '../src/device/local-ca/permitted-names.ts';
import { runProgram } from '../src/device/trust/run-program.ts';
import { systemStore } from '../src/device/trust/system-store.ts';

/** Changes the system's list of CAs and prints what stood in it. Only for a process whose list is a copy. */
const BUNDLE = '/etc/ssl/certs/ca-certificates.crt';
const LOCAL = '/usr/local/share/ca-certificates';
const { id, certificate } = await createCa(permittedFor(['wiki.corp']), Date.now());
const name = nameOfCa(id);
const body = certificate.split('\n')[3]!;
const has = (): boolean => readFileSync(BUNDLE, 'utf8').includes(body);
const files = (): string => readdirSync('/etc/ssl/certs').sort().join();
const store = systemStore({ run: runProgram, isRoot: true, hasTerminal: false })!;

const before = has();
const filesBefore = files();
store.add({ name, certificate });
const added = has();
store.add({ name, certificate });
const addedAgain = has();
for (const file of readdirSync(LOCAL)) if (file.startsWith('sallyport-on-')) rmSync(`${LOCAL}/${file}`);
const halfRemoved = has();
store.remove(name);
store.remove(name);
const removed = has();
process.stdout.write(
  JSON.stringify({ before, added, addedAgain, halfRemoved, removed, same: files() === filesBefore }),
);
