import type { ProxyRevocationView } from '@sallyport/security-api';
import { proxies } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import type { Command } from 'commander';
import { addOperatorCommand, type Given, required, table } from '../operator-command.ts';
import { formatTime } from '../output.ts';
import { saidReason } from '../reason.ts';
import { say } from '../terminal.ts';
import { PROXY_COLUMNS } from './status.ts';

interface InviteOptions {
  readonly site: string;
  readonly replace?: true;
  readonly moveSite?: true;
}

/** `sallyport proxy …` */
export function addProxyCommands(program: Command): void {
  const proxy = program.command('proxy').description('Proxy servers');
  addOperatorCommand(proxy, {
    name: 'invite <name>',
    about: 'issue a join token for a Proxy',
    options: [
      required('--site <name>', 'site it belongs to'),
      ['--replace', 'it takes the place of the Proxy that has this name; needs a reason'],
      ['--move-site', 'the Proxy of this name was at another site; needs a reason'],
    ],
    run: inviteProxy,
    show: ({ token, expiresAt }, _given, name: string) =>
      say`join token for ${name}, good until ${formatTime(expiresAt)}; start the Proxy with\n  SALLYPORT_JOIN_TOKEN=${token}\n`,
  });
  addOperatorCommand(proxy, {
    name: 'revoke <name>',
    about: 'take the right of a Proxy to serve; answers when that is in force',
    reason: ['revoking a Proxy', 'host was broken into'],
    run: (admin, { reason }, name: string) => admin.call(proxies.revoke, { params: { name }, reason }),
    show: (view, _given, name: string) => void process.stdout.write(formatProxyRevocation(name, view)),
  });
  addOperatorCommand(proxy, {
    name: 'move <name>',
    about: 'give a Proxy another site; its channels end, and devices come back to it for that site',
    reason: ['moving a Proxy', 'the branch was closed'],
    options: [required('--to <site>', 'where it belongs from now on')],
    run: (admin, { options: { to }, reason }: Given<{ readonly to: string }>, name: string) =>
      admin.call(proxies.move, { params: { name }, body: { site: to }, reason }),
    show: (_done, { options: { to } }, name: string) =>
      say`✔ ${name} belongs to ${to}; nothing that it was given before is served any more\n  its origin goes with it: sallyport site put ${to} --origin …, with all origins of that site, and the same without it where it was\n`,
  });
  addOperatorCommand(proxy, {
    name: 'list',
    about: 'all Proxies with their leases',
    run: (admin) => admin.all(proxies.list),
    show: table([...PROXY_COLUMNS, 'revokedAt']),
  });
}

async function inviteProxy(
  admin: AdminClient,
  { options: { site, replace, moveSite }, globals, reason }: Given<InviteOptions>,
  name: string,
) {
  if (replace ?? moveSite)
    saidReason(globals.reason, 'why? replacing or moving a Proxy needs a reason', 'new hardware');
  const body = { name, site, ...(replace && { replace }), ...(moveSite && { moveSite }) };
  return admin.call(proxies.invite, { body, reason });
}

/** What came of revoking a Proxy, in words. */
function formatProxyRevocation(name: string, { done, inForce, waitedMs, waitingFor }: ProxyRevocationView): string {
  if (!done) return `there is no Proxy ${name}\n`;
  if (inForce) return `✔ ${name} is revoked and serves nothing any more, after ${waitedMs} ms\n`;
  const lines = waitingFor.map(({ untilAt }) => `    a lease of it ends at ${formatTime(untilAt)} at the latest\n`);
  return `… ${name} is revoked and gets no lease any more, but may serve until the last one is over:\n${lines.join('')}`;
}
