import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { listenAddress, optionalText, readSettings } from '@sallyport/settings';
import { createLog, spreadLastNet } from '@sallyport/telemetry';
import { createPhoneServer } from './app.ts';
import { parsePhoneOrigins } from './origins.ts';

const settings = readSettings({
  SALLYPORT_LISTEN: listenAddress('where the phone page is served', { host: '127.0.0.1', port: 8480 }),
  SALLYPORT_PHONE_ORIGIN: optionalText('origin of the phone page in browsers, like https://phone.example.com'),
  SALLYPORT_RESOURCE_ORIGINS: optionalText('origins of resources in browsers, like https://*.phone-apps.example.com'),
});
const folder = fileURLToPath(new URL('../dist', import.meta.url));
if (!existsSync(join(folder, 'index.html')))
  throw new Error('the phone page is not built: run npm run build -w apps/phone');

const log = createLog('phone');
const { host, port } = settings.SALLYPORT_LISTEN;
const origins = parsePhoneOrigins(
  settings.SALLYPORT_PHONE_ORIGIN ?? `http://phone.localhost:${port}`,
  settings.SALLYPORT_RESOURCE_ORIGINS ?? `http://*.phone.localhost:${port}`,
);
const server = createPhoneServer(folder, origins, log);
server.listen({ host, port }, () => {
  if (process.send) process.send({ type: 'ready', url: origins.shell });
});
const stop = (): void => {
  server.closeAllConnections();
  server.close(() => process.exit());
};
spreadLastNet(log, stop);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);
process.on('disconnect', stop);
