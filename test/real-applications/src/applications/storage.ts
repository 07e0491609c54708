import { chownSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listening, startCommand } from '@sallyport/support';
import { type Application, expectSeen, startedAt } from '../application.ts';
import { run } from '../command.ts';
import { PYTHON } from './python.ts';

const S3_CLIENT = `
import boto3, hashlib, os, sys
from botocore.config import Config
from boto3.s3.transfer import TransferConfig
host, proxy = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url='http://' + host, aws_access_key_id='a', aws_secret_access_key='b',
                  region_name='us-east-1', config=Config(proxies={'http': proxy}, s3={'addressing_style': 'path'}))
s3.create_bucket(Bucket='charts')
data = os.urandom(100_000_000)
open('up', 'wb').write(data)
s3.upload_file('up', 'charts', 'north sea/a+b.bin', Config=TransferConfig(multipart_chunksize=16_000_000))
s3.download_file('charts', 'north sea/a+b.bin', 'down')
print(open('down', 'rb').read() == data, s3.list_objects_v2(Bucket='charts')['Contents'][0]['Key'])
`;

/** S3 by moto, and boto3 in pieces. */
export const s3: Application = {
  name: 's3',
  title: 'S3 (moto)',
  needs: { python: [PYTHON.moto, PYTHON.boto3] },
  options: ['--paths', 'exact', '--reads-content'],
  async start({ freePort, programs }) {
    const port = await freePort();
    // The bucket stands in the path, not in the name of the host.
    const environment = { S3_IGNORE_SUBDOMAIN_BUCKETNAME: 'true' };
    const program = startCommand(programs.python('moto_server'), ['-H', '127.0.0.1', '-p', String(port)], {
      environment,
    });
    await listening(port, program);
    return startedAt(`http://127.0.0.1:${port}`, program);
  },
  clients: [
    {
      name: 'boto3: 100 MB in pieces, there and back',
      through: 'forward',
      async use({ folder, host, proxy, programs }) {
        writeFileSync(join(folder, 'client.py'), S3_CLIENT);
        const args = ['client.py', host, `http://${proxy}`];
        const seen = await run(programs.python('python'), args, { cwd: folder });
        expectSeen(seen.includes('True north sea/a+b.bin'), seen);
        return 'the same bytes, listed by name';
      },
    },
  ],
};

function postgresFolder(): string {
  const root = '/usr/lib/postgresql';
  return join(root, readdirSync(root).sort().at(-1)!, 'bin');
}

/** PostgreSQL as a TCP resource. */
export const postgres: Application = {
  name: 'db',
  title: 'PostgreSQL',
  authority: 'db.corp:5432',
  async start({ folder, freePort }) {
    const port = await freePort();
    const data = join(folder, 'data');
    mkdirSync(data);
    const [uid = 0, gid = 0] = (await run('sh', ['-c', 'id -u postgres; id -g postgres']))
      .trim()
      .split('\n')
      .map(Number);
    chownSync(data, uid, gid);
    const as = ['--reuid', String(uid), '--regid', String(gid), '--clear-groups'];
    const programs = postgresFolder();
    const init = [join(programs, 'initdb'), '-D', data, '-U', 'ada', '-A', 'trust', '--no-sync'];
    await run('setpriv', [...as, ...init]);
    const settings = ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='];
    const program = startCommand('setpriv', [
      ...as,
      join(programs, 'postgres'),
      '-D',
      data,
      '-p',
      String(port),
      ...settings,
    ]);
    await listening(port, program);
    return startedAt(`tcp://127.0.0.1:${port}`, program);
  },
  clients: [
    {
      name: 'psql: a million rows',
      through: 'forward',
      async use({ tcpPort }) {
        const url = `postgresql://ada@127.0.0.1:${tcpPort}/postgres`;
        const sql = 'select i, md5(i::text) from generate_series(1, 1000000) i';
        const seen = await run('sh', ['-c', `psql "$0" -At -c "copy ($1) to stdout" | wc -l`, url, sql]);
        expectSeen(seen.trim() === '1000000', seen);
        return '1,000,000 rows';
      },
    },
  ],
};
