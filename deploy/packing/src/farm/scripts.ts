import { basename } from 'node:path';
import type { HostFile } from './files.ts';
import type { FarmHost, FarmPlan } from './plan.ts';

/** What each host wants of Debian. */
const PACKAGES = 'postgresql patroni python3-etcd etcd-server etcd-client redis-server redis-sentinel haproxy';
/** Services whose key is the host's: they read it as a group. */
const READERS = ['postgres', 'etcd', 'redis'];
const SITE = 'main';

const BEGIN = `set -eu
[ "$(id -u)" = 0 ] || { echo 'run it as root' >&2; exit 1; }
cd "$(dirname "$0")"
`;

/** Beside the settings of Redis that are of this farm. */
const REDIS_MARK = '/etc/redis/of-sallyport';

/** Makes a host of the farm; again it puts the settings back and starts everything anew. */
export function installScript({ name }: FarmHost, files: readonly HostFile[]): string {
  const placed = files.map(({ path, owner, mode }) => {
    const [user, group] = owner.split(':');
    const install = `install -D -o ${user} -g ${group} -m ${mode} files/${basename(path)} ${path}`;
    // Sentinels write into theirs who is the primary now.
    return path.startsWith('/etc/redis/') ? `[ -e ${REDIS_MARK} ] || ${install}` : install;
  });
  return `#!/bin/sh
# Makes this host ${name} of the farm: Debian 12, as root, in this folder. On all three hosts, in any order; then finish.sh on the first.
${BEGIN}
# Nothing starts by itself while it has no settings of ours.
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
trap 'rm -f /usr/sbin/policy-rc.d' EXIT
install -d /etc/postgresql-common
echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q ${PACKAGES} ./packages/*.deb
rm -f /usr/sbin/policy-rc.d

groupadd --system --force sallyport-tls
for user in ${READERS.join(' ')}; do usermod --append --groups sallyport-tls "$user"; done
install -d -m 0755 /etc/sallyport/tls
install -o root -g root -m 0644 tls/ca.pem tls/server.pem /etc/sallyport/tls/
install -o root -g sallyport-tls -m 0640 tls/server.key /etc/sallyport/tls/server.key
install -o root -g root -m 0600 tls/devices.pem /etc/sallyport/tls/devices.pem
install -o sallyport -g sallyport -m 0600 kek.json /etc/sallyport/kek.json
install -o postgres -g postgres -m 0600 files/database-password /etc/sallyport/database-password
${placed.join('\n')}
touch ${REDIS_MARK}

# A database, an etcd or a Redis finds its others by itself: nobody is waited for.
systemctl daemon-reload
systemctl enable etcd patroni redis-server redis-sentinel haproxy sallyport-security
systemctl restart --no-block etcd patroni redis-server redis-sentinel haproxy sallyport-security
echo '${name} is installed. When all three are: sh finish.sh on the first of them'
`;
}

/** Makes the first operator, the site and an invitation for each Proxy. */
export function finishScript({ gate, hosts }: FarmPlan): string {
  const [first] = hosts;
  const invited = hosts.map(
    ({ name }) =>
      `echo "on ${name}: sh join.sh $(sallyport --data "$desk" --json proxy invite ${name} --site ${SITE} | sed -n 's/.*"token": *"\\([^"]*\\)".*/\\1/p')"`,
  );
  return `#!/bin/sh
# On ${first!.name}, when all three hosts are installed: the first operator, the site, and a token for each Proxy, good for ten minutes.
${BEGIN}
desk=\${SALLYPORT_DESK:-/root/sallyport-desk}
until [ -s /var/lib/sallyport/security/ca.pem ] && systemctl is-active --quiet sallyport-security; do
  echo 'waiting for Security, which waits for the database: journalctl -u sallyport-security'
  sleep 5
done
if [ ! -e "$desk/cli/operator.json" ]; then
  systemd-run --quiet --pipe --wait --uid=sallyport -p EnvironmentFile=/etc/sallyport/security.env \\
    sallyport operator break-glass --name first --reason 'first operator' | tail -n 1 |
    sallyport --data "$desk" login https://${first!.address}:8444 --ca /var/lib/sallyport/security/ca.pem --token-stdin
fi
sallyport --data "$desk" site put ${SITE} --origin wss://${gate}
${invited.join('\n')}
echo 'then: sallyport --data '"$desk"' status'
`;
}

/** Lets the Proxy of a host join. */
export function joinScript(): string {
  return `#!/bin/sh
# sh join.sh TOKEN, of finish.sh: this host's Proxy joins and serves.
${BEGIN}
token=\${1:?the token of this Proxy, as finish.sh says it}
sed -i '/^SALLYPORT_JOIN_TOKEN=/d' /etc/sallyport/proxy.env
printf 'SALLYPORT_JOIN_TOKEN=%s\\n' "$token" >> /etc/sallyport/proxy.env
systemctl enable sallyport-proxy
systemctl restart sallyport-proxy
`;
}
