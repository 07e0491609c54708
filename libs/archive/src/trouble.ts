/** What keeps an archive from its work, for whoever has to mend it. */
export interface ArchiveTrouble {
  readonly code: ArchiveTroubleCode;
  /** In a line: what is wrong and where to look. */
  readonly words: string;
}

/** Why pgBackRest did not do what it was asked. */
export type ArchiveTroubleCode =
  | 'ERR_ARCHIVE_GONE'
  | 'ERR_ARCHIVE_FULL'
  | 'ERR_ARCHIVE_READ_ONLY'
  | 'ERR_ARCHIVE_PASSPHRASE'
  | 'ERR_ARCHIVE_CERTIFICATE'
  | 'ERR_ARCHIVE_STANZA'
  | 'ERR_ARCHIVE_TIME'
  | 'ERR_ARCHIVE_FAILED';

const WORDS: Readonly<Record<ArchiveTroubleCode, string>> = {
  ERR_ARCHIVE_GONE: 'the host of the repository, or a database host, does not answer',
  ERR_ARCHIVE_FULL: 'the disk of the repository is full',
  ERR_ARCHIVE_READ_ONLY: 'the repository cannot be written to: its folder is read-only, or belongs to somebody else',
  ERR_ARCHIVE_PASSPHRASE: 'the passphrase is not the one of this repository, or the repository is damaged',
  ERR_ARCHIVE_CERTIFICATE: 'the other host does not accept our certificate, or we not its',
  ERR_ARCHIVE_STANZA: 'the repository knows nothing of this database, or of another one by this name',
  ERR_ARCHIVE_TIME: 'the repository holds nothing from which that time can be reached',
  ERR_ARCHIVE_FAILED: 'pgBackRest failed',
};

/** What pgBackRest says when something is so, the more telling first: it reports a timeout beside the reason of it. */
const SIGNS: readonly (readonly [ArchiveTroubleCode, RegExp])[] = [
  ['ERR_ARCHIVE_FULL', /\[28\] No space left|no space left on device/i],
  ['ERR_ARCHIVE_READ_ONLY', /\[13\] Permission denied|\[30\] Read-only file system/i],
  ['ERR_ARCHIVE_PASSPHRASE', /key\/value found outside of section|CryptoError|cipher header invalid|unable to flush/i],
  ['ERR_ARCHIVE_CERTIFICATE', /unable to verify certificate|certificate verify failed|access denied|tls ?alert/i],
  ['ERR_ARCHIVE_GONE', /HostConnectError|unable to connect to|unable to get address for|\[049\]|\[0?124\]/i],
  ['ERR_ARCHIVE_TIME', /unable to find backup set with|recovery ended before configured recovery target/i],
  ['ERR_ARCHIVE_STANZA', /has a stanza-create been performed|do not match the database|stanza .* (does not|missing)/i],
];

/** pgBackRest 2.45 dies of telling another host what it made of a file that it could not decrypt. */
const SEGMENTATION_FAULT = 139;
const MAX_DETAIL = 200;

/** What is wrong, by what pgBackRest said and its exit code; undefined when it was done. */
export function archiveTrouble(said: string, exitCode: number): ArchiveTrouble | undefined {
  if (exitCode === 0) return undefined;
  const [code] = SIGNS.find(([, sign]) => sign.test(said)) ?? [
    exitCode === SEGMENTATION_FAULT ? 'ERR_ARCHIVE_PASSPHRASE' : 'ERR_ARCHIVE_FAILED',
  ];
  const detail = code === 'ERR_ARCHIVE_FAILED' ? ` (exit code ${exitCode}): ${firstError(said)}` : '';
  return { code: code as ArchiveTroubleCode, words: `${WORDS[code as ArchiveTroubleCode]}${detail}` };
}

function firstError(said: string): string {
  const line = /ERROR: (.*)/.exec(said)?.[1] ?? said.trim().split('\n')[0] ?? '';
  return line.slice(0, MAX_DETAIL);
}
