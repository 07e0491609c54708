import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { listenAddress, readSettings } from '@sallyport/settings';
import { createLog, spreadLastNet } from '@sallyport/telemetry';
import { createPhoneServer } from './app.ts';

const settings = readSettings({
  SALLYPORT_LISTEN: listenAddress('where the phone page is served', { host: '127.0.0.1', port: 8480 }),
});
const folder = fileURLToPath(new URL('../dist', import.meta.url));
if (!existsSync(join(folder, 'index.html')))
  throw new Error('the phone page is not built: run npm run build -w apps/phone');

const log = createLog('phone');
const server = createPhoneServer(folder, log);
const { host, port } = settings.SALLYPORT_LISTEN;
server.listen({ host, port }, () => {
  if (process.send) process.send({ type: 'ready', url: `http://${host}:${port}` });
});
const stop = (): void => {
  server.closeAllConnections();
  server.close(() => process.exit());
};
spreadLastNet(log, stop);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);
process.on('disconnect', stop);
