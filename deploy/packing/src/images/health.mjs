// Says by its exit status whether the server of this image lives. It asks on the loopback address only, where nobody else answers.
import { request as plain } from 'node:http';
import { request as secure } from 'node:https';

const url = new URL(process.argv[2]);
const request = url.protocol === 'https:' ? secure : plain;
const asked = request(url, { rejectUnauthorized: false, timeout: 4000 }, (answer) => {
  process.exit(answer.statusCode === 200 ? 0 : 1);
});
asked.on('timeout', () => process.exit(1));
asked.on('error', () => process.exit(1));
asked.end();
