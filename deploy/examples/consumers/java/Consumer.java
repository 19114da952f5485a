import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import org.apache.avro.*;
import org.apache.avro.generic.*;
import org.apache.avro.message.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.serialization.*;

/** BOOTSTRAP TOPIC SCHEMAS: the events of a topic, one JSON object a line. Needs what pom.xml beside it names. */
public class Consumer {
  public static void main(String[] args) throws Exception {
    var out = new PrintStream(System.out, true, UTF_8);
    var schemas = new SchemaStore.Cache();
    try (var files = Files.walk(Path.of(args[2]))) {
      for (var file : (Iterable<Path>) files.filter(f -> f.toString().endsWith(".avsc"))::iterator)
        schemas.addSchema(new Schema.Parser().parse(file.toFile()));
    }
    Map<String, Object> settings = Map.of("bootstrap.servers", args[0], "group.id", "example-java",
        "isolation.level", "read_committed", "auto.offset.reset", "earliest");
    try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
      consumer.subscribe(List.of(args[1]));
      while (true)
        for (var record : consumer.poll(Duration.ofSeconds(1))) {
          long writer = ByteBuffer.wrap(record.value()).order(ByteOrder.LITTLE_ENDIAN).getLong(2);
          var decoder = new BinaryMessageDecoder<GenericRecord>(GenericData.get(), schemas.findByFingerprint(writer), schemas);
          out.printf("{\"id\": \"%s\", \"type\": \"%s\", \"key\": \"%s\", \"event\": %s}%n", header(record, "ce_id"),
              header(record, "ce_type"), record.key(), decoder.decode(record.value()));
        }
    }
  }

  private static String header(ConsumerRecord<?, ?> record, String name) {
    return new String(record.headers().lastHeader(name).value(), UTF_8);
  }
}
