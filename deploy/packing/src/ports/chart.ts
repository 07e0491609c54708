import { PORTS } from '@sallyport/ports';

/** The ports of the chart, which its templates read. */
export function chartPorts(): string {
  const named = PORTS.filter(({ chart }) => chart !== undefined);
  const parts = ['security', 'proxy', 'outside'].map((part) => {
    const lines = named
      .filter(({ chart }) => chart![0] === part)
      .map(({ port, chart }) => `  ${chart![1]}: {port: ${port}, from: ${chart![2]}}`);
    return `${part}:\n${lines.join('\n')}\n`;
  });
  return `# Made from the table of ports by "npm run ports": what listens, and who connects. NetworkPolicies, Services and probes are made from it.\n${parts.join('')}`;
}
