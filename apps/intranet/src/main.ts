import { runServer } from '@sallyport/http-service';
import { listenAddress, text } from '@sallyport/settings';
import { createIntranet } from './app.ts';
import { identityVerifier } from './identity.ts';

const SETTINGS = {
  SALLYPORT_LISTEN: listenAddress('where the sample intranet listens', { host: '127.0.0.1', port: 8450 }),
  SALLYPORT_SHARE: text('folder of the file share'),
  SALLYPORT_JWKS_URL: text('where Security publishes the keys of its assertions'),
  SALLYPORT_CA: text("file with the PEM of the gateway's CA"),
  SALLYPORT_AUTHORITY: text('name of this resource at the gateway', 'intranet.example'),
  SALLYPORT_REALM: text('name of the realm', 'main'),
};

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
