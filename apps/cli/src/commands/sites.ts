import type { SiteView } from '@sallyport/security-api';
import { sites } from '@sallyport/security-api/admin';
import type { Command } from 'commander';
import { addOperatorCommand, type Given, required, table } from '../operator-command.ts';

interface SiteOptions {
  readonly origin: string[];
  readonly resource?: string[];
}

const showSites = table<SiteView>(['name', 'origins', 'resources']);

/** `sallyport site …` */
export function addSiteCommands(program: Command): void {
  const site = program.command('site').description('places with Proxies');
  addOperatorCommand(site, {
    name: 'put <name>',
    about: 'create or replace a site',
    options: [
      required('--origin <urls...>', 'where devices reach its Proxies: wss://host[:port]'),
      ['--resource <names...>', 'resources that are nearest to it'],
    ],
    run: async (admin, { options: { origin, resource = [] }, reason }: Given<SiteOptions>, name: string) => [
      await admin.call(sites.put, { params: { name }, body: { origins: origin, resources: resource }, reason }),
    ],
    show: showSites,
  });
  addOperatorCommand(site, {
    name: 'list',
    about: 'all sites',
    run: (admin) => admin.all(sites.list),
    show: showSites,
  });
}
