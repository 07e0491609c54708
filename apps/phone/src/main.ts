import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runServer } from '@sallyport/http-service';
import { createPhoneServer } from './app.ts';
import { SETTINGS } from './config.ts';
import { parsePhoneOrigins } from './origins.ts';

/** Folder of the built page. @throws Error when it is not built */
function builtPage(): string {
  const folder = fileURLToPath(new URL('../dist', import.meta.url));
  if (!existsSync(join(folder, 'index.html')))
    throw new Error('the phone page is not built: run npm run build -w apps/phone');
  return folder;
}

await runServer({
  name: 'phone',
  title: 'the phone page',
  settings: SETTINGS,
  async start({ config, log }) {
    const { host, port } = config.SALLYPORT_LISTEN;
    const origins = parsePhoneOrigins(
      config.SALLYPORT_PHONE_ORIGIN ?? `http://phone.localhost:${port}`,
      config.SALLYPORT_RESOURCE_ORIGINS ?? `http://*.phone.localhost:${port}`,
    );
    const server = createPhoneServer(builtPage(), origins, log);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, resolve);
    });
    return {
      ready: () => ({ message: { url: origins.shell }, words: () => '' }),
      async stop() {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  },
});
