// Takes away what the demo made: the whole cluster if it is ours, else the release and the example objects.
import { openExistingCluster } from '../../test/kit/cluster.ts'
import { namespace } from './up.ts'
import { command, show, step } from './report.ts'

export const demoDown = async (): Promise<void> => {
  const cluster = await openExistingCluster()
  if (cluster.owned) {
    await step('Taking the cluster down', async () => {
      command('npm run cluster -- down')
      await cluster.down()
    })
    return
  }
  const { shell } = cluster
  await step('The example objects', async () => {
    command('kubectl delete mdep silero; kubectl delete -f examples/silero/store.yaml')
    show(
      await shell.kubectl([
        'delete',
        '-n',
        namespace,
        'modeldeployments.slipway.dev/silero',
        '--ignore-not-found',
        '--wait',
      ]),
    )
    show(await shell.kubectl(['delete', '-n', namespace, '-f', 'examples/silero/store.yaml', '--ignore-not-found']))
  })
  await step('Slipway', async () => {
    command('helm uninstall slipway -n slipway-system --wait')
    show(await shell.helm(['uninstall', 'slipway', '-n', 'slipway-system', '--ignore-not-found', '--wait']))
  })
}
