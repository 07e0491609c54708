import { randomBytes } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** A host of the farm: databases, Redis, Security, a Proxy and a load balancer are on each. */
export interface FarmHost {
  readonly name: string;
  /** Of IPv4: the recipes write it beside ports without brackets. */
  readonly address: string;
}

/** Passwords among the servers of a farm. */
export interface FarmSecrets {
  readonly superuser: string;
  readonly replication: string;
  readonly rewind: string;
  readonly sallyport: string;
  readonly patroni: string;
  readonly redis: string;
}

/** A farm on three hosts. */
export interface FarmPlan {
  /** The name by which devices come. */
  readonly gate: string;
  readonly hosts: readonly FarmHost[];
  readonly secrets: FarmSecrets;
}

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const GATE = /^(?=.{1,253}$)([a-z0-9-]{1,63}\.)+[a-z][a-z0-9-]{0,62}$/;
const HOSTS = 3;

/** Reads `name=address` of each host. @throws Error that says what is wrong with them */
export function planFarm(gate: string, texts: readonly string[]): FarmPlan {
  if (!GATE.test(gate)) throw new Error(`"${gate}" is no host name by which devices could come`);
  const hosts = texts.map((text): FarmHost => {
    const [name = '', address = ''] = text.split('=');
    if (!NAME.test(name) || !isIPv4(address)) throw new Error(`${text}: a host is name=address, like db1=10.0.0.1`);
    return { name, address };
  });
  const distinct = (of: (host: FarmHost) => string): number => new Set(hosts.map(of)).size;
  if (hosts.length !== HOSTS || distinct(({ name }) => name) < HOSTS || distinct(({ address }) => address) < HOSTS)
    throw new Error('a quorum of databases and of Sentinels needs three hosts: name=address name=address name=address');
  return { gate, hosts, secrets: drawSecrets() };
}

/** Letters and digits: they stand in files of several grammars. */
function drawSecrets(): FarmSecrets {
  const draw = (): string => randomBytes(24).toString('hex');
  return {
    ...{ superuser: draw(), replication: draw(), rewind: draw() },
    ...{ sallyport: draw(), patroni: draw(), redis: draw() },
  };
}
