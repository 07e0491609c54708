import type {
  HandshakeKeysView,
  JoinTokenView,
  NodeView,
  ProxyRevocationView,
  ProxyView,
  RealmSettings,
  SiteView,
  StatusView,
} from '@sallyport/security-api';
import type { Command } from 'commander';
import { CliError, formatTime, printJson, printRows } from '../output.ts';
import { allPages } from '../pages.ts';
import { globalsOf, reasonOf, withAdmin } from '../program.ts';
import { say } from '../terminal.ts';
import { addOperatorCommands } from './operators.ts';
import { addRealmLifeCommands } from './realm-life.ts';
import { formatStatus, NODE_COLUMNS, PROXY_COLUMNS } from './status.ts';

/** `sallyport status`, `login`, `operator`, `proxy`, `site` and `realm` */
export function addFarmCommands(program: Command): void {
  program
    .command('status')
    .description('what runs, computed from live answers')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      const status = await withAdmin(globals, (admin) => admin.call<StatusView>('GET', '/v1/status'));
      if (globals.json) return printJson(status);
      process.stdout.write(formatStatus(status));
    });
  addOperatorCommands(program);
  addProxyCommands(program);
  addNodeCommands(program);
  addSiteCommands(program);
  addRealmCommands(program);
}

function addProxyCommands(program: Command): void {
  const proxy = program.command('proxy').description('Proxy servers');
  proxy
    .command('invite <name>')
    .description('issue a join token for a Proxy')
    .requiredOption('--site <name>', 'site it belongs to')
    .option('--replace', 'it takes the place of the Proxy that has this name; needs a reason')
    .option('--move-site', 'the Proxy of this name was at another site; needs a reason')
    .action(inviteProxy);
  proxy
    .command('revoke <name>')
    .description('take the right of a Proxy to serve; answers when that is in force')
    .action(revokeProxy);
  proxy
    .command('list')
    .description('all Proxies with their leases')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      const proxies = await withAdmin(globals, (admin) =>
        allPages<ProxyView>(admin, '/v1/proxies', ({ name }) => name),
      );
      printRows(proxies, [...PROXY_COLUMNS, 'revokedAt'], globals.json);
    });
}

async function inviteProxy(
  name: string,
  { site, replace, moveSite }: { site: string; replace?: true; moveSite?: true },
  command: Command,
): Promise<void> {
  const globals = globalsOf(command);
  const takes = replace ?? moveSite ?? false;
  if (takes && !globals.reason)
    throw new CliError('why? replacing or moving a Proxy needs a reason', 'add: --reason "new hardware"');
  const body = { name, site, ...(replace && { replace }), ...(moveSite && { moveSite }) };
  const { token, expiresAt } = await withAdmin(globals, (admin) =>
    admin.call<JoinTokenView>('POST', '/v1/join-tokens', { body, reason: reasonOf(globals, 'proxy invite') }),
  );
  say`join token for ${name}, good until ${formatTime(expiresAt)}; start the Proxy with\n  SALLYPORT_JOIN_TOKEN=${token}\n`;
}

async function revokeProxy(name: string, _options: object, command: Command): Promise<void> {
  const globals = globalsOf(command);
  if (!globals.reason)
    throw new CliError('why? revoking a Proxy needs a reason', 'add: --reason "host was broken into"');
  const { reason } = globals;
  const view = await withAdmin(globals, (admin) =>
    admin.call<ProxyRevocationView>('POST', `/v1/proxies/${name}/revoke`, { reason }),
  );
  if (globals.json) return printJson(view);
  process.stdout.write(formatProxyRevocation(name, view));
}

/** What came of revoking a Proxy, in words. */
function formatProxyRevocation(name: string, { done, inForce, waitedMs, waitingFor }: ProxyRevocationView): string {
  if (!done) return `there is no Proxy ${name}\n`;
  if (inForce) return `✔ ${name} is revoked and serves nothing any more, after ${waitedMs} ms\n`;
  const lines = waitingFor.map(({ untilAt }) => `    a lease of it ends at ${formatTime(untilAt)} at the latest\n`);
  return `… ${name} is revoked and gets no lease any more, but may serve until the last one is over:\n${lines.join('')}`;
}

function addNodeCommands(program: Command): void {
  const node = program.command('node').description('Security nodes');
  node
    .command('list')
    .description('all Security nodes, as the one that answers sees them')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      const nodes = await withAdmin(globals, (admin) => allPages<NodeView>(admin, '/v1/nodes', ({ id }) => id));
      printRows(nodes, NODE_COLUMNS, globals.json);
    });
  node
    .command('remove <id>')
    .description('forget a node that will not come back')
    .action(async (id: string, _options, command: Command) => {
      const globals = globalsOf(command);
      const reason = reasonOf(globals, 'node remove');
      const path = `/v1/nodes/${encodeURIComponent(id)}`;
      const { done } = await withAdmin(globals, (admin) => admin.call<{ done: boolean }>('DELETE', path, { reason }));
      say`${done ? `${id} is forgotten` : `there is no node ${id}`}\n`;
    });
}

function addSiteCommands(program: Command): void {
  const site = program.command('site').description('places with Proxies');
  site
    .command('put <name>')
    .description('create or replace a site')
    .requiredOption('--origin <urls...>', 'where devices reach its Proxies: wss://host[:port]')
    .option('--resource <names...>', 'resources that are nearest to it')
    .action(async (name: string, options: { origin: string[]; resource?: string[] }, command: Command) => {
      const globals = globalsOf(command);
      const body = { origins: options.origin, resources: options.resource ?? [] };
      const view = await withAdmin(globals, (admin) =>
        admin.call<SiteView>('PUT', `/v1/sites/${name}`, { body, reason: reasonOf(globals, 'site put') }),
      );
      printRows([view], ['name', 'origins', 'resources'], globals.json);
    });
  site
    .command('list')
    .description('all sites')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      printRows(
        await withAdmin(globals, (admin) => allPages<SiteView>(admin, '/v1/sites', ({ name }) => name)),
        ['name', 'origins', 'resources'],
        globals.json,
      );
    });
}

function addRealmCommands(program: Command): void {
  const realm = program.command('realm').description('settings of the realm');
  realm
    .command('get')
    .description('all settings')
    .action(async (_options, command: Command) => {
      printJson(await withAdmin(globalsOf(command), (admin) => admin.call<RealmSettings>('GET', '/v1/realm')));
    });
  realm
    .command('set <name> <json>')
    .description('change one setting')
    .action(async (name: string, json: string, _options, command: Command) => {
      const globals = globalsOf(command);
      const body = { [name]: parseJsonOrText(json) };
      printJson(
        await withAdmin(globals, (admin) =>
          admin.call<RealmSettings>('PATCH', '/v1/realm', { body, reason: reasonOf(globals, 'realm set') }),
        ),
      );
    });
  realm
    .command('replace-handshake-keys')
    .description('take all handshake keys of Security out of use but a new one, because they may be in wrong hands')
    .action(replaceHandshakeKeys);
  addRealmLifeCommands(realm);
}

async function replaceHandshakeKeys(_options: object, command: Command): Promise<void> {
  const globals = globalsOf(command);
  if (!globals.reason)
    throw new CliError('why? replacing the keys of Security needs a reason', 'add: --reason "a backup was stolen"');
  const { reason } = globals;
  const view = await withAdmin(globals, (admin) =>
    admin.call<HandshakeKeysView>('POST', '/v1/handshake-keys/replace', { reason }),
  );
  if (globals.json) return printJson(view);
  say`✔ key ${String(view.kid)} is the only one now; devices learn of it by themselves, links with ${view.revoked.join(', ')} are refused\n`;
}

function parseJsonOrText(text: string): unknown {
  if (text === '') throw new CliError('the value is empty');
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
