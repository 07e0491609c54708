import {
  claimInstallLink,
  findInstallLink,
  isClaimGood,
  type LinkedApp,
  type ReleaseRow,
  readInstallClaim,
} from '@sallyport/access';
import { INSTALL_PREFIX } from '@sallyport/security-api';
import type { FastifyInstance, FastifyReply } from 'fastify';
import Type from 'typebox';
import { Downloads } from './downloads.ts';
import { gonePage, INSTALL_FILES, iosManifest, offerPage, readyPage } from './install-html.ts';
import { answerPackage } from './package-answer.ts';
import type { UpdateRoutes } from './update-routes.ts';

const TokenParam = Type.Object({
  token: Type.String({ pattern: '^spi_[A-Za-z0-9_-]{40,160}$', description: 'the token of a link' }),
});
const ClaimParam = Type.Object({
  claim: Type.String({ pattern: '^spc_[A-Za-z0-9_-]{40,160}$', description: 'what a link opened' }),
  file: Type.String({ pattern: '^[a-z]{1,16}\\.[a-z]{1,8}$', description: 'a file' }),
});

/**
 * Pages for the first installation of an app, as Proxies hand them to whoever has a link. Looking uses nothing up, since programs look
 * at links, too; the first press of the button does.
 */
export function addInstallRoutes(service: FastifyInstance, { access, packages, log }: UpdateRoutes): void {
  const downloads = new Downloads();
  service.get<{ Params: { token: string } }>(
    `${INSTALL_PREFIX}/:token`,
    { schema: { params: TokenParam } },
    async ({ params: { token } }, reply) => {
      const linked = await findInstallLink(access, token);
      return linked ? html(reply, offerPage(linked, `${linked.link.origin}${INSTALL_PREFIX}/${token}`)) : gone(reply);
    },
  );
  service.post<{ Params: { token: string } }>(
    `${INSTALL_PREFIX}/:token`,
    { schema: { params: TokenParam } },
    async ({ params: { token } }, reply) => {
      const claimed = await claimInstallLink(access, token);
      return claimed ? html(reply, readyPage(claimed, baseOf(claimed, claimed.claim))) : gone(reply);
    },
  );
  service.get<{ Params: { claim: string; file: string } }>(
    `${INSTALL_PREFIX}/:claim/:file`,
    { schema: { params: ClaimParam } },
    async ({ params: { claim, file }, headers: { range } }, reply) => {
      const linked = await readInstallClaim(access, claim);
      const release = linked && releaseOf(linked, file);
      if (!release) return gone(reply);
      if (file === MANIFEST)
        return reply.type('application/xml').send(iosManifest(linked, release, baseOf(linked, claim)));
      const { os, version } = release.package;
      void reply.type(INSTALL_FILES[os]!.type);
      const ending = file.replace(/^.*\./, '');
      void reply.header('content-disposition', `attachment; filename="${linked.app.id}-${version}.${ending}"`);
      const still = (): Promise<boolean> => isClaimGood(access, claim, release.id);
      return answerPackage(reply, { packages, release, range, still, log, downloads, owner: linked.link.id });
    },
  );
}

const MANIFEST = 'manifest.plist';

function baseOf({ link: { origin } }: LinkedApp, claim: string): string {
  return `${origin}${INSTALL_PREFIX}/${claim}`;
}

function releaseOf({ releases }: LinkedApp, file: string): ReleaseRow | undefined {
  return releases.find(
    ({ package: { os } }) => INSTALL_FILES[os]?.name === file || (os === 'ios' && file === MANIFEST),
  );
}

function html(reply: FastifyReply, text: string): FastifyReply {
  return reply.type('text/html; charset=utf-8').send(text);
}

function gone(reply: FastifyReply): FastifyReply {
  return html(reply.code(410), gonePage());
}
