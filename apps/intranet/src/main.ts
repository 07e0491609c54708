import { runServer } from '@sallyport/http-service';
import { createIntranet } from './app.ts';
import { SETTINGS } from './config.ts';
import { identityVerifier } from './identity.ts';

await runServer({
  name: 'intranet',
  title: 'the sample intranet',
  settings: SETTINGS,
  async start({ config }) {
    const service = await createIntranet({
      shareFolder: config.SALLYPORT_SHARE,
      identify: identityVerifier({
        jwksUrl: config.SALLYPORT_JWKS_URL,
        caFile: config.SALLYPORT_CA,
        issuer: `sallyport:${config.SALLYPORT_REALM}`,
        audience: config.SALLYPORT_AUTHORITY,
      }),
    });
    const url = await service.listen(config.SALLYPORT_LISTEN);
    return {
      ready: () => ({ message: { url }, words: () => `the sample intranet is up at ${url}\n` }),
      async stop() {
        service.server.closeAllConnections();
        await service.close();
      },
    };
  },
});
