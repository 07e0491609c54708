import { existsSync, globSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CliError } from '../../output.ts';
import type { ProgramEnd, RunProgram } from './run-program.ts';
import type { NamedCa, TrustStore } from './store.ts';

/** Where Chromium and its relatives keep the certificates of a user; the first is made when there is none. */
const CHROMIUM = ['.pki/nssdb', '.local/share/pki/nssdb', 'snap/chromium/current/.pki/nssdb'];
/** Where Firefox has its profiles. */
const FIREFOX = [
  '.mozilla/firefox/*/cert9.db',
  '.config/mozilla/firefox/*/cert9.db',
  'snap/firefox/common/.mozilla/firefox/*/cert9.db',
  '.var/app/org.mozilla.firefox/.mozilla/firefox/*/cert9.db',
];

/** The stores of a user's browsers below a home folder. */
export function browserStores(home: string, run: RunProgram): readonly TrustStore[] {
  const [usual = '', ...others] = CHROMIUM.map((folder) => join(home, folder));
  const chromium = [usual, ...others.filter((folder) => existsSync(join(folder, 'cert9.db')))];
  const firefox = FIREFOX.flatMap((pattern) => globSync(pattern, { cwd: home })).map((file) =>
    dirname(join(home, file)),
  );
  return [
    ...chromium.map((folder) => nssStore('Chromium', folder, run)),
    ...firefox.map((folder) => nssStore('Firefox', folder, run)),
  ];
}

/** A database of NSS, by its own tool (certutil(1)): trusted for servers and nothing else. */
function nssStore(browser: string, folder: string, run: RunProgram): TrustStore {
  const database = ['-d', `sql:${folder}`];
  const call = (args: readonly string[], input?: string): ProgramEnd => {
    const end = run('certutil', [...database, ...args], input);
    if (end) return end;
    throw new CliError(
      'there is no certutil on this machine',
      'install it (Debian: apt install libnss3-tools), then again',
    );
  };
  const demand = ({ ok, output }: ProgramEnd): string => {
    if (!ok) throw new CliError(`certutil failed: ${output.split('\n')[0]}`, 'end the browser, then again');
    return output;
  };
  // The whole list: whoever asks for one name cannot tell a store without it from one that could not be read.
  const has = (name: string): boolean => demand(call(['-L'])).includes(name);
  return {
    place: `${browser}, ${folder}`,
    add: ({ name, certificate }: NamedCa) => {
      if (!existsSync(join(folder, 'cert9.db'))) {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        demand(call(['-N', '--empty-password']));
      }
      demand(call(['-A', '-n', name, '-t', 'C,,', '-a'], certificate));
    },
    remove: (name) => {
      if (existsSync(join(folder, 'cert9.db')) && has(name)) demand(call(['-D', '-n', name]));
    },
  };
}
