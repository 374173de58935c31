package bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KafkaStreams.State;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Kafka Streams, exactly once: one blocking model call per record, made by the thread that holds it.
 *
 * <p>Everything but addresses, names and the number of threads is the library's default.
 */
public final class App {

    private static final ObjectMapper JSON = new ObjectMapper();

    private App() {
    }

    public static void main(final String[] args) throws Exception {
        final Model model = new Model(System.getenv("OIP_URL"));
        final StreamsBuilder builder = new StreamsBuilder();
        builder.stream(System.getenv("IN"), Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .mapValues(value -> translate(model, value))
                .to(System.getenv("OUT"), Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));

        final CountDownLatch over = new CountDownLatch(1);
        final KafkaStreams streams = new KafkaStreams(builder.build(), config());
        streams.setStateListener((now, before) -> {
            System.out.println("state " + now);
            if (now == State.ERROR || now == State.NOT_RUNNING) {
                over.countDown();
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(5))));
        streams.start();
        over.await();
        System.exit(streams.state() == State.ERROR || streams.state() == State.PENDING_ERROR ? 1 : 0);
    }

    private static Properties config() {
        final Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("BROKER"));
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, System.getenv("GROUP"));
        config.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("STATE_DIR"));
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, System.getenv("THREADS"));
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        return config;
    }

    private static byte[] translate(final Model model, final byte[] value) {
        try {
            final String text = JSON.readTree(value).path("text").textValue();
            return JSON.writeValueAsBytes(Map.of("text", text, "translation", model.infer(text)));
        } catch (final IOException e) {
            throw new IllegalArgumentException("inference failed", e);
        }
    }
}
