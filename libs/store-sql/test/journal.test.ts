import { journalContract } from '../../access/test/journal.contract.ts';
import { openSqlJournal } from '../src/index.ts';
import { startDatabase } from './real-postgres.ts';

const { server } = await startDatabase();
let count = 0;

journalContract('postgresql', async () => {
  const realm = `realm-${count++}`;
  return () => openSqlJournal(server.address, realm);
});
