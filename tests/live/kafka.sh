#!/usr/bin/env bash
# A real Apache Kafka broker for the live tests: one node, KRaft, from its published jars.
#
#     tests/live/kafka.sh start DIR     prints NAME=value lines for the environment; DIR is made
#     tests/live/kafka.sh restart DIR   stops it and starts it again on the same ports with its data
#     tests/live/kafka.sh stop DIR      stops it; DIR is left to be looked at, or to be started again
#     tests/live/kafka.sh topics BROKERS PARTITIONS NAME…   makes topics that are not there yet
#
# Needs Java 17 or later (with keytool) and, the first time, Maven. Three listeners on 127.0.0.1: without protection
# (KAFKA_BROKERS), SASL with SCRAM or PLAIN (KAFKA_SASL_BROKERS), and TLS (KAFKA_TLS_BROKERS). Topics are not made on
# demand. Tests that must restart a broker start one of their own with KAFKA_SCRIPT, or stop and start this one in
# KAFKA_LIVE_DIR if nobody else uses it. The SASL user `ecs` may do everything, `nobody` nothing; both have the password
# `ecs-secret`.
# shellcheck source=tests/live/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

readonly release=4.1.1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here

jars() {
    maven_jars kafka "org.apache.kafka:kafka_2.13:$release" org.slf4j:slf4j-simple:1.7.36
}

configure() {
    local dir=$1 lib=$2 plain controller sasl tls
    { read -r plain; read -r controller; read -r sasl; read -r tls; } < <(free_ports 4)
    keytool -genkeypair -alias broker -keyalg EC -groupname secp256r1 -validity 3650 -dname CN=localhost \
        -ext san=ip:127.0.0.1,dns:localhost -storetype PKCS12 -keystore "$dir/broker.p12" \
        -storepass ecs-secret 2>>"$dir/setup.log"
    keytool -exportcert -rfc -alias broker -keystore "$dir/broker.p12" -storepass ecs-secret \
        >"$dir/ca.pem" 2>>"$dir/setup.log"
    cat >"$dir/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAIN://127.0.0.1:$plain,CONTROLLER://127.0.0.1:$controller,SASL://127.0.0.1:$sasl,TLS://127.0.0.1:$tls
advertised.listeners=PLAIN://127.0.0.1:$plain,SASL://127.0.0.1:$sasl,TLS://127.0.0.1:$tls
listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL
inter.broker.listener.name=PLAIN
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  user_ecs="ecs-secret" user_nobody="ecs-secret";
listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PKCS12
ssl.keystore.location=$dir/broker.p12
ssl.keystore.password=ecs-secret
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:ecs
log.dirs=$dir/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
END
    java -cp "$lib/*" kafka.tools.StorageTool format -c "$dir/server.properties" -t AnthropicEcsLiveTests0 \
        -S 'SCRAM-SHA-256=[name=ecs,password=ecs-secret]' -S 'SCRAM-SHA-512=[name=ecs,password=ecs-secret]' \
        -S 'SCRAM-SHA-512=[name=nobody,password=ecs-secret]' >>"$dir/setup.log" 2>&1 ||
        die "formatting failed, see $dir/setup.log"
    cat >"$dir/env" <<END
KAFKA_BROKERS=127.0.0.1:$plain
KAFKA_SASL_BROKERS=127.0.0.1:$sasl
KAFKA_TLS_BROKERS=127.0.0.1:$tls
KAFKA_CA_FILE=$dir/ca.pem
KAFKA_SCRIPT=$here/kafka.sh
KAFKA_LIVE_DIR=$dir
END
}

started() {
    grep -q 'Kafka Server started' "$1/log"
}

launch() {
    local dir=$1 lib=$2
    : >"$dir/log"
    java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=info \
        -cp "$lib/*" kafka.Kafka "$dir/server.properties" </dev/null >"$dir/log" 2>&1 &
    printf '%s\n' "$!" >"$dir/pid"
    wait_until "$dir" 90 started "$dir"
}

# topics BROKERS PARTITIONS NAME…: Kafka's own tool for this is not among the jars; its client is.
topics() {
    local source
    source=$(mktemp -d)
    cat >"$source/Topics.java" <<'JAVA'
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;

public class Topics {
    public static void main(String[] args) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", args[0]))) {
            var there = admin.listTopics().names().get();
            List<NewTopic> missing = new ArrayList<>();
            for (int i = 2; i < args.length; i++) {
                if (!there.contains(args[i])) {
                    missing.add(new NewTopic(args[i], Optional.of(Integer.parseInt(args[1])), Optional.empty()));
                }
            }
            admin.createTopics(missing).all().get();
        }
    }
}
JAVA
    java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$(jars)/*" "$source/Topics.java" "$@" >&2
    rm -r "$source"
}

main() {
    if [[ ${1:-} == topics && $# -ge 4 ]]; then
        needs java
        topics "${@:2}"
        return
    fi
    [[ $# == 2 ]] || die "usage: $0 start|restart|stop DIR | topics BROKERS PARTITIONS NAME…"
    local command=$1 dir
    mkdir -p "$2"
    dir=$(cd "$2" && pwd)
    case $command in
        start)
            needs java keytool
            ! alive "$dir" || die "there is already one running in $dir"
            local lib
            lib=$(jars)
            [[ -e $dir/env ]] || configure "$dir" "$lib"
            launch "$dir" "$lib"
            cat "$dir/env"
            ;;
        restart)
            stop_server "$dir"
            launch "$dir" "$(jars)"
            cat "$dir/env"
            ;;
        stop) stop_server "$dir" ;;
        *) die "usage: $0 start|restart|stop DIR | topics BROKERS PARTITIONS NAME…" ;;
    esac
}

main "$@"
