import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gateway } from '../src/gateway.ts';
import { sallyport } from '../src/run-command.ts';

let gateway: Gateway;
let profile: string;
beforeAll(async () => {
  gateway = await Gateway.start({ proxies: 1 });
  profile = join(gateway.folder, 'rescue');
  writeFileSync(join(gateway.folder, 'ca.pem'), gateway.security.ready.ca!);
});
afterAll(() => gateway.stop());

const run = (args: readonly string[], input = '') => sallyport(['--data', profile, ...args], input);

/** A one-time token from the Security host itself; its settings come from the environment, as there. */
async function breakGlass(reason: string): Promise<string> {
  const data = gateway.securityEnvironment['SALLYPORT_DATA']!;
  const { stdout, stderr } = await sallyport(['--data', data, '--reason', reason, 'operator', 'break-glass']);
  expect(stderr).toBe('');
  return /^sp1_\S+$/m.exec(stdout)![0];
}

async function login(token: string): Promise<string> {
  const ca = join(gateway.folder, 'ca.pem');
  const url = gateway.security.ready.adminUrl!;
  const { stdout, stderr } = await run(['login', url, '--ca', ca, '--token-stdin'], token);
  return stdout + stderr;
}

test('on the Security host the glass can be broken, with a reason on record, beside a server that runs', async () => {
  const token = await breakGlass('every credential was lost');
  expect(await login(token)).toContain('you are operator break-glass');
  const { stdout: audit } = await run(['audit', 'tail']);
  expect(audit).toMatch(/operator\.break-glass\s+break-glass\s+done\s+every credential was lost/);
  expect(await login(token)).toContain('unknown, used or expired');
});

test('an operator invites one by name, renews, and ends one; the one who ended is out', async () => {
  const { stdout } = await run(['--reason', 'one more for the night', 'operator', 'invite', 'ben']);
  const ben = join(gateway.folder, 'ben');
  const url = gateway.security.ready.adminUrl!;
  const as = (args: readonly string[], input = '') => sallyport(['--data', ben, ...args], input);
  const ca = ['--ca', join(gateway.folder, 'ca.pem')];
  const entered = await as(['login', url, ...ca, '--token-stdin'], /^sp1_\S+$/m.exec(stdout)![0]);
  expect(entered.stdout).toContain('you are operator ben');
  expect((await as(['operator', 'renew'])).stdout).toContain('renewed, good until');
  expect((await as(['operator', 'list'])).stdout).toMatch(/ben\s+active\s+invite\s+break-glass/);
  const ended = await run(['--reason', 'night is over', 'operator', 'end', 'ben']);
  expect(ended.stdout).toContain('no operator any more: ben');
  expect((await as(['operator', 'list'])).stderr).toContain('an operator credential is needed');
});
