import { expect, test } from 'vitest';
import { scene } from '../scene.ts';

test('a node whose host was copied says that it runs twice, and a restart is no copy', async () => {
  const one = await scene();
  const said = async (of: typeof one): Promise<string> => {
    await of.context.node.report();
    return (await of.context.node.report()).nodes.flatMap(({ degraded }) => degraded).join();
  };
  expect(await said(one)).not.toContain('more than one process');
  const { access } = one.context;
  const again = await scene({ access, clock: one.clock }, { startedAt: 7 });
  // The run before is over.
  expect(await said(again)).not.toContain('more than one process');
  await one.context.node.report();
  expect(await said(again)).toContain('n1: more than one process runs as this node');
  one.clock.now += 60_000;
  expect(await said(again)).not.toContain('more than one process');
});
