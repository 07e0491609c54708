import type { RestoreReport } from './restore.ts';

function timeOf(at: number): string {
  return new Date(at).toISOString().slice(0, 19).replace('T', ' ');
}

/** What was restored, what was lost, what nobody knows, and what comes next, for whoever has done it. */
export function wordsOfRestore(report: RestoreReport): string {
  const { manifest, epoch, tookMs, aside, before } = report;
  const seconds = (tookMs / 1_000).toFixed(1);
  if (before)
    return `export ${manifest.name} was restored before, with epoch ${epoch}; its mark is taken away\n\n${nextWords(report)}`;
  const rows = manifest.parts.reduce((sum, part) => sum + part.rows, 0);
  return [
    `the realm is open with epoch ${epoch}, as it was at ${manifest.takenAt}: ${rows} rows, in ${seconds} s`,
    ...(aside === undefined ? [] : [`what was here before is in ${aside}`]),
    '',
    ...lostWords(report),
    '',
    ...unknownWords(report),
    '',
    nextWords(report),
  ].join('\n');
}

function lostWords({ manifest, appended, rights, journalUntil, renamed }: RestoreReport): string[] {
  const revocations = appended.length - rights.length;
  const until = journalUntil === undefined ? '' : `; the newest that is known is of ${timeOf(journalUntil)} UTC`;
  return [
    `lost   everything after ${manifest.takenAt}, and all sessions, activation codes, join tokens and one-time tokens`,
    `kept   ${revocations === 1 ? '1 revocation that the backup did not know is' : `${revocations} revocations that the backup did not know are`} in force again${until}`,
    ...renamed.map((where) => `named  ${where} names another host now`),
  ];
}

/** What nobody can know, and what was done about it. */
function unknownWords({ rights, credentials, usersOut, unreadable }: RestoreReport): string[] {
  return [
    'unknown, and what was done about it:',
    ...(usersOut > 0
      ? [
          `  who was revoked since: ${usersOut === 1 ? 'the one user stays' : `all ${usersOut} users stay`} out. Look at them and let them in: sallyport user enable NAME`,
          '    (they need not enrol again); what Proxies have kept comes by itself, and is in the audit log as revoke.again',
        ]
      : ['  who was revoked since: nothing is missing, by the journal, or by copies up to where the log ended']),
    ...unreadable.map((path) => `  a copy of the journal that cannot be read: ${path}`),
    ...rights.map(
      ({ subject, actor, reason }) =>
        `  rights of ${subject} were changed by ${actor} (${reason}), and are as before: look at them`,
    ),
    ...(credentials.length > 0
      ? [`  passwords of ${credentials.join(', ')} were replaced: those of before open nothing, set new ones`]
      : []),
    '  whose rights in policies and groups were taken since: they are as in the backup, look at them',
    '  devices that changed keys more than once since: they say so themselves, and enrol again',
    '  tokens of SCIM clients and secrets of directories that were replaced since: those of before are good again, replace them',
  ];
}

function nextWords({ usersOut }: RestoreReport): string {
  return `next: 1. start the Security servers; Proxies begin anew by themselves, people sign in again
      2. the first server that starts gives a one-time token for an operator, unless --keep-operators was said
      3. watch "sallyport status": until the hold is over no revocation is called in force${usersOut > 0 ? '\n         let users in again when you have looked at them' : ''}
      4. join anew each Proxy that has renewed its key since: sallyport proxy invite NAME --site SITE --replace
      5. take a backup now: older ones belong to an older epoch
`;
}
